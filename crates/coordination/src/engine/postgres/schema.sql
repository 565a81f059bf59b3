-- The lease table of Steadfast's coordination, format {format}. {s} stands for the schema.
--
-- READ COMMITTED throughout: every statement of a function has a snapshot of its own, taken when
-- the statement begins, so a statement that follows a lock sees all that was committed before the
-- lock was had. Why each function is right rests on these rules:
--
--   R1  A token is drawn after the queue's row is locked, and the lock is held until the commit.
--       So entries of one queue become visible in the order of their tokens: who sees an entry
--       sees all that were ever ahead of it.
--   R2  Nothing is answered because a session is over unless its row is deleted in the same
--       transaction. So a session that somebody has seen as over stays over, whatever the
--       server's clock does next.
--   R3  An entry is inserted only under a KEY SHARE lock on its session's row, and whoever deletes
--       that row deletes the entries in a later statement, whose snapshot has them all. So no
--       entry outlives its session. (A foreign key says the same, for more work.)
--   R4  Locks are taken in the order queue, session, entry. Sessions of others are deleted with
--       SKIP LOCKED: one that is being renewed or entered with is left alone for now. What is left
--       of deadlocks is two transactions that end the same session at the same moment; the server
--       ends one of them, and it is sent again.

CREATE SEQUENCE {s}.tokens AS bigint NO CYCLE CACHE 1;

CREATE SEQUENCE {s}.session_ids AS bigint NO CYCLE CACHE 1;

CREATE TABLE {s}.sessions (
    id       bigint PRIMARY KEY,
    length   interval NOT NULL,
    deadline timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.1);

CREATE INDEX sessions_deadline ON {s}.sessions (deadline);

-- `watched`: until then somebody may be waiting for news of this queue. Without it nothing is
-- notified: transactions that notify commit one after the other, and most have nobody to tell.
CREATE TABLE {s}.queues (
    name    text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    touched timestamptz NOT NULL,
    watched timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1);

CREATE TABLE {s}.entries (
    queue    text COLLATE "C" NOT NULL,
    token    bigint NOT NULL,
    entry_id uuid NOT NULL,
    session  bigint NOT NULL,
    shared   boolean NOT NULL,
    revision bigint NOT NULL DEFAULT 0,
    value    bytea NOT NULL,
    PRIMARY KEY (queue, token),
    UNIQUE (queue, entry_id, session)
) WITH (autovacuum_vacuum_scale_factor = 0.1);

CREATE INDEX entries_session ON {s}.entries (session);

CREATE TABLE {s}.registers (
    name    text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    value   bytea NOT NULL
) WITH (fillfactor = 70);

-- Deletes those of the sessions that are over, and their entries, and tells who waits. A session
-- that another transaction has locked is left alone: it may be in the middle of a renewal, and its
-- deadline is known when that has committed. Answers how many were deleted.
CREATE FUNCTION {s}.prune(p_sessions bigint[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_over bigint[];
BEGIN
    WITH over AS (
        DELETE FROM {s}.sessions WHERE id IN (
            SELECT id FROM {s}.sessions
            WHERE id = ANY (p_sessions) AND deadline <= clock_timestamp()
            ORDER BY id FOR UPDATE SKIP LOCKED)
        RETURNING id)
    SELECT array_agg(id) INTO v_over FROM over;
    IF v_over IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM {s}.drop_entries(v_over);
    RETURN cardinality(v_over);
END $$;

-- Deletes the entries of sessions whose rows this transaction has deleted (R3).
CREATE FUNCTION {s}.drop_entries(p_sessions bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{channel}', d.token || ' ' || d.queue) FROM (
        SELECT token, queue FROM {s}.entries WHERE session = ANY (p_sessions)) d;
    DELETE FROM {s}.entries WHERE session = ANY (p_sessions);
END $$;

-- Locks a session's row against its deletion and says whether it is alive. If it is over, it is
-- deleted (R2). The loop: the row that was seen may be the one before a renewal that is about to
-- commit; the deletion then waits for it, looks again, and finds nothing to delete.
CREATE FUNCTION {s}.alive(p_session bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        PERFORM 1 FROM {s}.sessions
        WHERE id = p_session AND deadline > clock_timestamp() FOR KEY SHARE;
        IF FOUND THEN
            RETURN true;
        END IF;
        DELETE FROM {s}.sessions WHERE id = p_session AND deadline <= clock_timestamp();
        IF FOUND THEN
            PERFORM {s}.drop_entries(ARRAY[p_session]);
            RETURN false;
        END IF;
        PERFORM 1 FROM {s}.sessions WHERE id = p_session;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END LOOP;
END $$;

-- A new session. Whoever opens one also sweeps: some sessions that are over and were never met by
-- anybody, and some queues that have been empty for an hour. Nothing grows for ever.
CREATE FUNCTION {s}.open(p_micros bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint := nextval('{s}.session_ids');
    v_from text;
    v_names text[];
BEGIN
    PERFORM {s}.prune(ARRAY(
        SELECT id FROM {s}.sessions WHERE deadline <= clock_timestamp()
        ORDER BY deadline LIMIT {sweep_sessions}));
    SELECT swept INTO v_from FROM {s}.meta FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        -- The rows are locked first; only then is looked whether they are empty (R1).
        SELECT array_agg(name) INTO v_names FROM (
            SELECT name FROM {s}.queues WHERE name > v_from
            ORDER BY name LIMIT {sweep_queues} FOR UPDATE SKIP LOCKED) q;
        DELETE FROM {s}.queues q
        WHERE name = ANY (v_names) AND touched < clock_timestamp() - interval '1 hour'
          AND watched < clock_timestamp()
          AND NOT EXISTS (SELECT FROM {s}.entries e WHERE e.queue = q.name);
        UPDATE {s}.meta SET swept = coalesce(v_names[cardinality(v_names)], '')
        WHERE swept IS DISTINCT FROM coalesce(v_names[cardinality(v_names)], '');
    END IF;
    INSERT INTO {s}.sessions (id, length, deadline) VALUES (
        v_id,
        p_micros * interval '1 microsecond',
        clock_timestamp() + p_micros * interval '1 microsecond');
    RETURN v_id;
END $$;

-- The update locks the row and then looks at the deadline again, so of a renewal and a deletion
-- the one that comes second sees what the first has done.
CREATE FUNCTION {s}.renew(p_session bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        UPDATE {s}.sessions SET deadline = clock_timestamp() + length
        WHERE id = p_session AND deadline > clock_timestamp();
        IF FOUND THEN
            RETURN true;
        END IF;
        IF NOT {s}.alive(p_session) THEN
            RETURN false;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION {s}.close(p_session bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {s}.sessions WHERE id = p_session;
    IF FOUND THEN
        PERFORM {s}.drop_entries(ARRAY[p_session]);
    END IF;
END $$;

-- Where an entry stands. One statement, hence one snapshot: the entry was there, and these were
-- ahead of it, at one moment after the call (R1: none can come in ahead later). If a session that
-- matters is over, it is deleted first and the statement run again (R2). One that cannot be
-- deleted now counts as alive.
CREATE FUNCTION {s}.place(
    p_queue text, p_token bigint,
    OUT o_status int, OUT o_token bigint, OUT o_ahead bigint, OUT o_depth bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_session bigint;
    v_over boolean;
    v_dead bigint[];
BEGIN
    o_token := p_token;
    LOOP
        SELECT me.session, s.deadline <= clock_timestamp(), max(a.token), count(a.token),
               array_agg(a.session) FILTER (WHERE a.deadline <= clock_timestamp())
        INTO v_session, v_over, o_ahead, o_depth, v_dead
        FROM {s}.entries me
        JOIN {s}.sessions s ON s.id = me.session
        LEFT JOIN LATERAL (
            SELECT e.token, e.session, x.deadline
            FROM {s}.entries e JOIN {s}.sessions x ON x.id = e.session
            WHERE e.queue = p_queue AND e.token < p_token AND NOT (e.shared AND me.shared)) a
          ON true
        WHERE me.queue = p_queue AND me.token = p_token
        GROUP BY me.session, s.deadline;
        IF NOT FOUND THEN
            o_status := {over};
            RETURN;
        ELSIF v_over THEN
            IF NOT {s}.alive(v_session) THEN
                o_status := {over};
                RETURN;
            END IF;
        ELSIF v_dead IS NULL OR {s}.prune(v_dead) = 0 THEN
            o_status := {done};
            RETURN;
        END IF;
    END LOOP;
END $$;

-- Enters a queue.
CREATE FUNCTION {s}.enter(
    p_queue text, p_session bigint, p_id uuid, p_shared boolean, p_value bytea, p_wait boolean,
    OUT o_status int, OUT o_token bigint, OUT o_ahead bigint, OUT o_depth bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_watched boolean;
    v_there bigint;
    v_entries bigint;
    v_dead bigint[];
BEGIN
    -- Who would only ask and find it taken is told so without a lock and without a write: that
    -- was so at the moment of this one snapshot. All other cases go the long way.
    IF NOT p_wait THEN
        SELECT max(e.token) FILTER (WHERE NOT (e.shared AND p_shared)),
               max(e.token) FILTER (WHERE e.entry_id = p_id AND e.session = p_session),
               array_agg(e.session) FILTER (WHERE x.deadline <= clock_timestamp())
        INTO o_ahead, v_there, v_dead
        FROM {s}.entries e JOIN {s}.sessions x ON x.id = e.session
        WHERE e.queue = p_queue;
        IF o_ahead IS NOT NULL AND v_there IS NULL AND v_dead IS NULL THEN
            PERFORM 1 FROM {s}.sessions WHERE id = p_session AND deadline > clock_timestamp();
            IF FOUND THEN
                o_status := {busy};
                RETURN;
            END IF;
        END IF;
    END IF;

    -- The queue's lock (R1). Two that create the row at once: the second waits for the first and
    -- then updates. The version only has to be another one, so it may be drawn before the lock.
    INSERT INTO {s}.queues AS q (name, version, touched)
    VALUES (p_queue, nextval('{s}.tokens'), clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET version = excluded.version, touched = excluded.touched
    RETURNING q.watched > clock_timestamp() INTO v_watched;

    IF NOT {s}.alive(p_session) THEN
        o_status := {session_over};
        RETURN;
    END IF;

    LOOP
        SELECT count(*),
               count(*) FILTER (WHERE NOT (e.shared AND p_shared)),
               max(e.token) FILTER (WHERE NOT (e.shared AND p_shared)),
               max(e.token) FILTER (WHERE e.entry_id = p_id AND e.session = p_session),
               array_agg(e.session) FILTER (WHERE x.deadline <= clock_timestamp())
        INTO v_entries, o_depth, o_ahead, v_there, v_dead
        FROM {s}.entries e JOIN {s}.sessions x ON x.id = e.session
        WHERE e.queue = p_queue;
        EXIT WHEN v_dead IS NULL OR {s}.prune(v_dead) = 0;
    END LOOP;

    IF v_there IS NOT NULL THEN
        SELECT p.o_status, p.o_token, p.o_ahead, p.o_depth
        INTO o_status, o_token, o_ahead, o_depth FROM {s}.place(p_queue, v_there) p;
        RETURN;
    ELSIF o_ahead IS NOT NULL AND NOT p_wait THEN
        o_status := {busy};
        RETURN;
    ELSIF v_entries >= {entries_max} THEN
        o_status := {full};
        RETURN;
    END IF;

    o_token := nextval('{s}.tokens');
    INSERT INTO {s}.entries (queue, token, entry_id, session, shared, value)
    VALUES (p_queue, o_token, p_id, p_session, p_shared, p_value);
    IF v_watched THEN
        PERFORM pg_notify('{channel}', '0 ' || p_queue);
    END IF;
    o_status := {done};
END $$;

-- Takes an entry out. The queue's lock is had first, so that of this and a `watch` the one that
-- comes second sees the first: either the watcher finds the entry gone, or this sees the watcher.
CREATE FUNCTION {s}.leave(p_queue text, p_token bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_watched boolean;
BEGIN
    UPDATE {s}.queues SET version = nextval('{s}.tokens'), touched = clock_timestamp()
    WHERE name = p_queue RETURNING watched > clock_timestamp() INTO v_watched;
    DELETE FROM {s}.entries WHERE queue = p_queue AND token = p_token;
    IF FOUND AND v_watched THEN
        PERFORM pg_notify('{channel}', p_token || ' ' || p_queue);
    END IF;
END $$;

-- Changes an entry's value, if its session is alive. The same lock for the same reason.
CREATE FUNCTION {s}.set(p_queue text, p_token bigint, p_value bytea) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_watched boolean;
    v_session bigint;
BEGIN
    UPDATE {s}.queues SET version = nextval('{s}.tokens'), touched = clock_timestamp()
    WHERE name = p_queue RETURNING watched > clock_timestamp() INTO v_watched;
    SELECT session INTO v_session FROM {s}.entries WHERE queue = p_queue AND token = p_token;
    IF NOT FOUND OR NOT {s}.alive(v_session) THEN
        RETURN false;
    END IF;
    UPDATE {s}.entries SET value = p_value, revision = revision + 1
    WHERE queue = p_queue AND token = p_token;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF v_watched THEN
        PERFORM pg_notify('{channel}', '0 ' || p_queue);
    END IF;
    RETURN true;
END $$;

-- Says that somebody waits for news of a queue, for a minute, and not more often than every half.
-- That is no change of the queue: one without a row has version 0, and keeps it.
CREATE FUNCTION {s}.watch(p_queue text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM {s}.queues
    WHERE name = p_queue AND watched > clock_timestamp() + interval '30 seconds';
    IF NOT FOUND THEN
        INSERT INTO {s}.queues AS q (name, version, touched, watched)
        VALUES (p_queue, 0, clock_timestamp(), clock_timestamp() + interval '1 minute')
        ON CONFLICT (name) DO UPDATE SET watched = excluded.watched;
    END IF;
END $$;

-- How long an entry has at least, in microseconds; null when it is gone. It is looked for after
-- `watch`, in a later statement: what is gone by then is seen, what goes later is told.
CREATE FUNCTION {s}.remaining(p_queue text, p_token bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_session bigint;
    v_left bigint;
BEGIN
    PERFORM {s}.watch(p_queue);
    LOOP
        SELECT s.id, greatest(0, extract(epoch FROM s.deadline - clock_timestamp()) * 1000000)
        INTO v_session, v_left
        FROM {s}.entries e JOIN {s}.sessions s ON s.id = e.session
        WHERE e.queue = p_queue AND e.token = p_token;
        IF NOT FOUND THEN
            RETURN NULL;
        ELSIF v_left > 0 OR {s}.prune(ARRAY[v_session]) = 0 THEN
            RETURN v_left;
        END IF;
    END LOOP;
END $$;

-- A queue: one row with its version, the number of its entries and the time until the next session
-- among them ends, and one row for each of the first entries.
CREATE FUNCTION {s}.list(p_queue text, p_watch boolean)
RETURNS TABLE (o_version bigint, o_total bigint, o_left bigint, o_token bigint, o_session bigint,
               o_shared boolean, o_revision bigint, o_value bytea)
LANGUAGE plpgsql AS $$
DECLARE
    v_dead bigint[];
BEGIN
    IF p_watch THEN
        PERFORM {s}.watch(p_queue);
    END IF;
    SELECT array_agg(e.session) INTO v_dead
    FROM {s}.entries e JOIN {s}.sessions x ON x.id = e.session
    WHERE e.queue = p_queue AND x.deadline <= clock_timestamp();
    IF v_dead IS NOT NULL THEN
        PERFORM {s}.prune(v_dead);
    END IF;
    RETURN QUERY
    WITH standing AS (
        SELECT e.token, e.session, e.shared, e.revision, e.value, x.deadline
        FROM {s}.entries e JOIN {s}.sessions x ON x.id = e.session
        WHERE e.queue = p_queue)
    SELECT coalesce((SELECT q.version FROM {s}.queues q WHERE q.name = p_queue), 0),
           (SELECT count(*) FROM standing),
           -- GREATEST passes over nulls, and an empty queue has no end to wait for.
           (SELECT CASE WHEN count(*) > 0 THEN
                       extract(epoch FROM greatest(min(deadline) - clock_timestamp(), '0'))
                   END * 1000000 FROM standing)::bigint,
           NULL::bigint, NULL::bigint, NULL::boolean, NULL::bigint, NULL::bytea
    UNION ALL
    SELECT * FROM (
        SELECT NULL::bigint, NULL::bigint, NULL::bigint,
               st.token, st.session, st.shared, st.revision, st.value
        FROM standing st ORDER BY st.token LIMIT {list_max}) first_ones;
END $$;

-- Names only. Those of queues whose last session is over are left out without being cleared away.
CREATE FUNCTION {s}.names(p_after text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT q.name FROM {s}.queues q
    WHERE q.name > p_after AND EXISTS (
        SELECT FROM {s}.entries e JOIN {s}.sessions x ON x.id = e.session
        WHERE e.queue = q.name AND x.deadline > clock_timestamp())
    ORDER BY q.name LIMIT {list_max};
$$;

-- Compare and set. The row is locked before it is compared. Two that create it at once: the
-- second's insert waits for the first, does nothing, and the loop finds the row. Answers the new
-- version, or the one that is there instead.
CREATE FUNCTION {s}.store(
    p_name text, p_expected bigint, p_value bytea, OUT o_stored boolean, OUT o_version bigint)
LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        SELECT version INTO o_version FROM {s}.registers WHERE name = p_name FOR UPDATE;
        IF FOUND THEN
            o_stored := p_expected IS NOT DISTINCT FROM o_version;
            IF o_stored THEN
                UPDATE {s}.registers SET value = p_value, version = version + 1
                WHERE name = p_name RETURNING version INTO o_version;
            END IF;
            RETURN;
        ELSIF p_expected IS NOT NULL THEN
            o_stored := false;
            RETURN;
        END IF;
        INSERT INTO {s}.registers (name, version, value) VALUES (p_name, 1, p_value)
        ON CONFLICT (name) DO NOTHING;
        IF FOUND THEN
            o_stored := true;
            o_version := 1;
            RETURN;
        END IF;
    END LOOP;
END $$;
