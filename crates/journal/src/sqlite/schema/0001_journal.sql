-- Times are microseconds since 1970. A key is a blob (the number of a name, then the 16 bytes of
-- a UUID) or a text; an identifier is a blob of 16 bytes or a text. The views at the end show
-- both as text.

-- Where the journal ends. Kept apart from the tables, so that a missing tail is noticed.
CREATE TABLE head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  position INTEGER NOT NULL,        -- of the last event
  hash BLOB NOT NULL,               -- of the last event
  outbox_seq INTEGER NOT NULL,      -- of the last outbox row
  published_up_to INTEGER NOT NULL  -- every outbox row up to this one is published
);
INSERT INTO head VALUES (1, 0, zeroblob(32), 0, 0);

-- Names that occur often, as numbers from 1 to 255.
CREATE TABLE names (
  code INTEGER PRIMARY KEY,
  byte BLOB NOT NULL UNIQUE,        -- the same number as the first byte of a key
  name TEXT NOT NULL
);

CREATE TABLE events (
  position INTEGER PRIMARY KEY,     -- 1, 2, 3 ... without gaps
  stream NOT NULL,                  -- key
  version INTEGER NOT NULL,
  kind TEXT NOT NULL,
  schema INTEGER NOT NULL,
  at INTEGER NOT NULL,
  payload BLOB NOT NULL,
  hash BLOB NOT NULL,               -- SHA-256 over all of the above and the hash before
  previous INTEGER NOT NULL         -- position of the stream's event before; 0 for none
);

-- Where each stream ends; its events are found backwards from there. One row per stream, where
-- an index would have an entry per event, on another page for each stream that lives long.
CREATE TABLE streams (
  stream PRIMARY KEY,
  version INTEGER NOT NULL,
  position INTEGER NOT NULL
) WITHOUT ROWID;

-- Every 64th event of a stream, so that the middle of a long one is found as well.
CREATE TABLE stream_marks (
  stream NOT NULL,
  version INTEGER NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (stream, version)
) WITHOUT ROWID;

-- Messages in commit order. A message that says what its event says only refers to it.
CREATE TABLE outbox_messages (
  seq INTEGER PRIMARY KEY,          -- 1, 2, 3 ... without gaps
  id BLOB NOT NULL,
  topic TEXT NOT NULL,
  event INTEGER,                    -- position of the event that holds all of the following
  created_at INTEGER,
  aggregate_type TEXT,
  aggregate_id,                     -- identifier
  event_type TEXT,
  sequence INTEGER,
  payload BLOB
);

-- What the bus has taken, as ranges that do not overlap. A range without a time remains of rows
-- that have been removed while an older row was still waiting.
CREATE TABLE outbox_published (
  first INTEGER PRIMARY KEY,
  last INTEGER NOT NULL,
  at INTEGER
);

-- How often the bus has refused a row.
CREATE TABLE outbox_refused (
  seq INTEGER PRIMARY KEY,
  retry_count INTEGER NOT NULL
);

-- Idempotency keys with the answer to replay, in the order in which they were taken.
CREATE TABLE claims (
  id INTEGER PRIMARY KEY,
  digest INTEGER NOT NULL,          -- 64 bits of a hash over tenant and key
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  status INTEGER NOT NULL,
  location TEXT,
  version INTEGER,
  body BLOB NOT NULL
);
CREATE INDEX claims_by_digest ON claims (digest);

-- The inbox: the highest sequence per consumer (number or text) and key ...
CREATE TABLE inbox_sequences (
  consumer NOT NULL,
  key NOT NULL,
  sequence INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (consumer, key)
) WITHOUT ROWID;

-- ... and single messages of others, in the order in which they were processed.
CREATE TABLE inbox_ids (
  id INTEGER PRIMARY KEY,
  consumer NOT NULL,
  message BLOB NOT NULL,
  at INTEGER NOT NULL
);
CREATE UNIQUE INDEX inbox_ids_by_message ON inbox_ids (message, consumer);

CREATE TABLE fences (
  resource TEXT PRIMARY KEY,
  token INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE timers (
  id TEXT PRIMARY KEY,
  due INTEGER NOT NULL,
  payload BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX timers_by_due ON timers (due, id);

CREATE TABLE records (
  space NOT NULL,                   -- number of a name, or text
  key TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (space, key)
) WITHOUT ROWID;

-- For people.

CREATE VIEW events_readable AS
SELECT e.position,
  CASE typeof(e.stream) WHEN 'text' THEN e.stream ELSE n.name || '/' || lower(
    substr(hex(e.stream), 3, 8) || '-' || substr(hex(e.stream), 11, 4) || '-' ||
    substr(hex(e.stream), 15, 4) || '-' || substr(hex(e.stream), 19, 4) || '-' ||
    substr(hex(e.stream), 23)) END AS stream,
  e.version, e.kind, e.schema,
  strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch')
    || printf('.%06dZ', e.at % 1000000) AS at,
  CAST(e.payload AS TEXT) AS payload, lower(hex(e.hash)) AS hash
FROM events e
LEFT JOIN names n ON typeof(e.stream) = 'blob' AND n.byte = substr(e.stream, 1, 1);

-- The outbox under the names that relays expect.
CREATE VIEW event_outbox AS
SELECT m.seq,
  lower(substr(hex(m.id), 1, 8) || '-' || substr(hex(m.id), 9, 4) || '-' ||
    substr(hex(m.id), 13, 4) || '-' || substr(hex(m.id), 17, 4) || '-' ||
    substr(hex(m.id), 21)) AS id,
  coalesce(m.aggregate_type, substr(e.stream, 1, instr(e.stream, '/') - 1)) AS aggregate_type,
  CASE
    WHEN m.event IS NOT NULL THEN substr(e.stream, instr(e.stream, '/') + 1)
    WHEN typeof(m.aggregate_id) = 'text' THEN m.aggregate_id
    ELSE lower(
      substr(hex(m.aggregate_id), 1, 8) || '-' || substr(hex(m.aggregate_id), 9, 4) || '-' ||
      substr(hex(m.aggregate_id), 13, 4) || '-' || substr(hex(m.aggregate_id), 17, 4) || '-' ||
      substr(hex(m.aggregate_id), 21))
  END AS aggregate_id,
  coalesce(m.event_type, e.kind) AS event_type,
  m.topic,
  coalesce(m.sequence, e.version) AS sequence,
  coalesce(CAST(m.payload AS TEXT), e.payload) AS payload,
  CASE
    WHEN p.first IS NOT NULL THEN 'PUBLISHED'
    WHEN r.seq IS NOT NULL THEN 'FAILED'
    ELSE 'PENDING'
  END AS status,
  coalesce(r.retry_count, 0) AS retry_count,
  coalesce(strftime('%Y-%m-%dT%H:%M:%S', m.created_at / 1000000, 'unixepoch')
    || printf('.%06dZ', m.created_at % 1000000), e.at) AS created_at,
  strftime('%Y-%m-%dT%H:%M:%S', p.at / 1000000, 'unixepoch')
    || printf('.%06dZ', p.at % 1000000) AS published_at
FROM outbox_messages m
LEFT JOIN events_readable e ON e.position = m.event
LEFT JOIN outbox_refused r ON r.seq = m.seq
LEFT JOIN outbox_published p
  ON p.first = (SELECT max(first) FROM outbox_published WHERE first <= m.seq)
  AND p.last >= m.seq;

-- The outbox under the names of Debezium's EventRouter.
CREATE VIEW outbox AS
SELECT id, aggregate_type AS aggregatetype, aggregate_id AS aggregateid, event_type AS type, payload
FROM event_outbox;
