#!/bin/sh
# Run once by PostgreSQL's container: a user who needs a password, beside the one who needs none.
set -eu

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --command "CREATE ROLE guarded LOGIN PASSWORD 'open-sesame'"
sed -i '1i host all guarded all scram-sha-256' "$PGDATA/pg_hba.conf"
