-- +goose NO TRANSACTION
-- +goose Up

-- From now on a relay sends the outbox to the audit log. Each statement is a transaction
-- of its own and can be repeated, so that writers wait for short ones only, although there
-- may be a million rows that nobody has sent yet.

ALTER TABLE boards ADD COLUMN IF NOT EXISTS events bigint NOT NULL DEFAULT 0;  -- subjectseq of the board's newest event
ALTER TABLE players ADD COLUMN IF NOT EXISTS events bigint NOT NULL DEFAULT 0; -- the same of the player's, entries aside
ALTER TABLE outbox
    ADD COLUMN IF NOT EXISTS subjectseq  bigint,  -- 1, 2, 3 … of the events of a subject; entries have their own seq
    ADD COLUMN IF NOT EXISTS extensions  text,    -- further attributes of the event, a JSON object; null: none
    ADD COLUMN IF NOT EXISTS enc         smallint NOT NULL DEFAULT 1, -- version of the event's encoding
    ADD COLUMN IF NOT EXISTS batch_size  integer, -- how many entries were written together; null: one alone
    ADD COLUMN IF NOT EXISTS restored    boolean; -- it is sent again by a restore

-- A row that can never be sent, with the reason.
CREATE TABLE IF NOT EXISTS outbox_failed (
    id           bigint PRIMARY KEY,
    kind         text NOT NULL,
    type         text,
    subject      text,
    actor        text,
    notify       text,
    entry        uuid,
    data         text,
    recordedtime timestamptz NOT NULL,
    traceparent  text NOT NULL,
    subjectseq   bigint,
    extensions   text,
    enc          smallint NOT NULL,
    batch_size   integer,
    restored     boolean,
    reason       text NOT NULL,
    failed_at    timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_failed_entry ON outbox_failed (entry) WHERE entry IS NOT NULL;

-- The relay's promise: it polls the outbox until `until`, and longer than any writer
-- takes. A writer that finds it past wakes the relay. There is one row.
CREATE TABLE IF NOT EXISTS relay_lease (
    one   boolean PRIMARY KEY CHECK (one),
    until timestamptz NOT NULL
);
INSERT INTO relay_lease (one, until) VALUES (true, '-infinity') ON CONFLICT DO NOTHING;

-- The users' profiles, as far as the users service has handed them over. Names and
-- countries of players with an account follow them.
CREATE TABLE IF NOT EXISTS profiles (
    user_id      text PRIMARY KEY,
    version      bigint NOT NULL, -- an older one changes nothing
    display_name text,
    country      text,
    erased       boolean NOT NULL -- and stays so
);

REVOKE ALL ON outbox_failed, relay_lease, profiles FROM PUBLIC;

-- A row of the outbox as the relay and checks read it. entry_data has what the event of
-- an entry shows.
-- +goose StatementBegin
DO $do$
BEGIN
    IF to_regtype('outbox_row_v1') IS NULL THEN
        CREATE TYPE outbox_row_v1 AS (
            id           bigint,
            kind         text,
            type         text,
            subject      text,
            actor        text,
            notify       text,
            data         text,
            entry_data   json,
            recordedtime timestamptz,
            traceparent  text,
            subjectseq   bigint,
            extensions   text,
            enc          smallint,
            batch_size   integer,
            restored     boolean,
            sent_at      timestamptz
        );
    END IF;
END $do$;
-- +goose StatementEnd

-- The relay and checks call functions, which leave out the metadata of entries.
REVOKE ALL ON outbox FROM outbox_relay;
REVOKE UPDATE (sent_at) ON outbox FROM outbox_relay;
REVOKE ALL ON ledger FROM outbox_relay;
GRANT SELECT (id, kind, sent_at, restored) ON outbox TO db_check;
GRANT SELECT (id, type, reason) ON outbox_failed TO db_check;

-- Numbers the events that exist. The events of a subject commit in their order, because
-- each locks the subject's row; so a statement sees the first ones of each subject, and
-- finding more of them later changes no number.
UPDATE outbox o
SET subjectseq = n.n
FROM (SELECT id, row_number() OVER (PARTITION BY subject ORDER BY recordedtime, id) AS n FROM outbox WHERE kind = 'event' AND entry IS NULL) n
WHERE n.id = o.id AND o.subjectseq IS NULL;

-- Boards and players count them. Adds to a player wait for the change of its row, so it
-- commits after every thousand.
-- +goose StatementBegin
DO $do$
DECLARE
    v_last text := '';
    v_next text;
BEGIN
    DROP TABLE IF EXISTS counted;
    CREATE TEMP TABLE counted AS
        SELECT subject COLLATE "C" AS subject, max(subjectseq) AS events FROM outbox WHERE subjectseq IS NOT NULL AND subject LIKE 'board/%' GROUP BY subject;
    CREATE UNIQUE INDEX ON counted (subject);
    ANALYZE counted;
    LOOP
        SELECT max(c.subject) INTO v_next FROM (SELECT c.subject FROM counted c WHERE c.subject > v_last ORDER BY c.subject LIMIT 1000) c;
        EXIT WHEN v_next IS NULL;
        UPDATE boards b SET events = c.events
        FROM counted c
        WHERE c.subject > v_last AND c.subject <= v_next AND split_part(c.subject, '/', 3) = '' AND b.id = split_part(c.subject, '/', 2) AND b.events < c.events;
        UPDATE players p SET events = c.events
        FROM counted c
        JOIN boards b ON b.id = split_part(c.subject, '/', 2)
        WHERE c.subject > v_last AND c.subject <= v_next AND split_part(c.subject, '/', 3) = 'player'
          AND p.board = b.no AND p.id = split_part(c.subject, '/', 4) AND p.events < c.events;
        COMMIT;
        v_last := v_next;
    END LOOP;
    DROP TABLE counted;
END $do$;
-- +goose StatementEnd

-- To find those that came meanwhile.
DROP INDEX CONCURRENTLY IF EXISTS outbox_unnumbered;
SET lock_timeout = 0;
CREATE INDEX CONCURRENTLY outbox_unnumbered ON outbox (id) WHERE subjectseq IS NULL AND kind = 'event' AND entry IS NULL;
RESET lock_timeout;

-- The functions of the previous version write events until the new ones are there, which
-- is after the last migration. They write to boards or players first. So when the locks
-- are granted, every event without a number has been committed, and sessions that wait
-- for the locks find the trigger and the new function.
-- +goose StatementBegin
DO $do$
DECLARE
    v_row record;
    v_seq bigint;
BEGIN
    LOCK TABLE boards, players IN SHARE ROW EXCLUSIVE MODE;
    FOR v_row IN
        SELECT o.id, split_part(o.subject, '/', 2) AS board, split_part(o.subject, '/', 4) AS player
        FROM outbox o
        WHERE o.subjectseq IS NULL AND o.kind = 'event' AND o.entry IS NULL AND o.subject LIKE 'board/%'
        ORDER BY o.recordedtime, o.id
    LOOP
        IF v_row.player = '' THEN
            UPDATE boards b SET events = b.events + 1 WHERE b.id = v_row.board RETURNING b.events INTO v_seq;
        ELSE
            UPDATE players p SET events = p.events + 1 FROM boards b
            WHERE b.id = v_row.board AND p.board = b.no AND p.id = v_row.player
            RETURNING p.events INTO v_seq;
        END IF;
        UPDATE outbox SET subjectseq = v_seq WHERE id = v_row.id;
    END LOOP;

    -- Files of the same names replace these bodies right after the migrations.
    CREATE OR REPLACE FUNCTION internal.board_extensions(b boards) RETURNS text
    LANGUAGE sql STABLE AS $$
        SELECT (jsonb_build_object('owners', array_to_string(b.owners, ','), 'public', b.public AND b.state <> 'draft')
            || CASE WHEN b.state = 'draft' THEN '{"draft": true}'::jsonb ELSE '{}' END)::text
    $$;
    CREATE OR REPLACE FUNCTION internal.player_extensions(p_board integer, p_player text, p_user text) RETURNS text
    LANGUAGE plpgsql STABLE AS $$
    BEGIN
        IF p_user IS NOT NULL THEN
            RETURN jsonb_build_object('user', p_user)::text;
        END IF;
        RETURN (SELECT jsonb_build_object('user', p_player)::text FROM boards b WHERE b.no = p_board AND b.players = 'registered');
    END $$;
    CREATE OR REPLACE FUNCTION internal.number_event() RETURNS trigger
    LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
        v_seq        bigint;
        v_extensions text;
    BEGIN
        IF split_part(NEW.subject, '/', 3) = '' THEN
            UPDATE boards b SET events = b.events + 1
            WHERE b.id = split_part(NEW.subject, '/', 2)
            RETURNING b.events, internal.board_extensions(b) INTO v_seq, v_extensions;
        ELSE
            UPDATE players p SET events = p.events + 1
            FROM boards b
            WHERE b.id = split_part(NEW.subject, '/', 2) AND p.board = b.no AND p.id = split_part(NEW.subject, '/', 4)
            RETURNING p.events, internal.player_extensions(p.board, p.id, p.user_id) INTO v_seq, v_extensions;
        END IF;
        UPDATE outbox SET subjectseq = v_seq, extensions = v_extensions WHERE id = NEW.id;
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION internal.record_entries(p_items internal.item[], p_actor text, p_user text, p_traceparent text, p_batch uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        WITH entry AS (
            INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, reason, note, actor, occurred_at, recorded_at,
                batch, reverses, metadata, runs, scores)
            SELECT (i.sent).id, i.board, i.player, i.seq, i.kind, i.points, i.tiebreak, (i.sent).reason, (i.sent).note, p_actor, (i.sent).occurred_at, i.recorded_at,
                p_batch, (i.sent).reverses, (i.sent).metadata, i.runs,
                ARRAY(SELECT (SELECT s.score FROM standings s WHERE s.run = c.run AND s.player = i.player)
                      FROM unnest(i.runs) WITH ORDINALITY AS c (run, n)
                      ORDER BY c.n)
            FROM unnest(p_items) i
        )
        INSERT INTO outbox (kind, type, notify, entry, recordedtime, traceparent, extensions, batch_size)
        SELECT 'event', internal.entry_event(i.kind), internal.opened_notified(i.board, internal.entry_event(i.kind), p_user, i.user_id), (i.sent).id, i.recorded_at, p_traceparent,
            CASE WHEN i.user_id IS NOT NULL OR length(i.player) = 36 THEN internal.player_extensions(i.board, i.player, i.user_id) END,
            CASE WHEN p_batch IS NOT NULL THEN cardinality(p_items) END
        FROM unnest(p_items) i
        ORDER BY i.item;
    END $$;
    CREATE OR REPLACE FUNCTION internal.take_profile() RETURNS trigger
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        RETURN NULL; -- nobody writes profiles yet
    END $$;
    -- After the statement, because the one of change_links changes the player itself.
    CREATE OR REPLACE TRIGGER outbox_numbered AFTER INSERT ON outbox
        FOR EACH ROW WHEN (NEW.subjectseq IS NULL AND NEW.kind = 'event' AND NEW.entry IS NULL AND starts_with(NEW.subject, 'board/'))
        EXECUTE FUNCTION internal.number_event();
    -- After, so that an add to a player who exists does not call it.
    CREATE OR REPLACE TRIGGER players_named AFTER INSERT ON players
        FOR EACH ROW WHEN (length(NEW.id) = 36) EXECUTE FUNCTION internal.take_profile();
END $do$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS outbox_unnumbered;

-- What events carry from now on, for those that exist: of a board its owners, and
-- whether anybody may read it.
UPDATE outbox o
SET extensions = (jsonb_build_object('owners', array_to_string(ARRAY(SELECT jsonb_array_elements_text(e.owners)), ','), 'public', e.public AND e.state <> 'draft')
    || CASE WHEN e.state = 'draft' THEN '{"draft": true}'::jsonb ELSE '{}' END)::text
FROM (
    SELECT e.id,
        coalesce(e.data -> 'owners', to_jsonb(b.owners)) AS owners,
        coalesce(first_value(e.public) OVER (PARTITION BY e.subject, e.publics ORDER BY e.subjectseq), b.public) AS public,
        coalesce(first_value(e.state) OVER (PARTITION BY e.subject, e.states ORDER BY e.subjectseq), b.state) AS state
    FROM (
        SELECT v.*, count(v.public) OVER w AS publics, count(v.state) OVER w AS states
        FROM (
            SELECT c.*, (coalesce(c.data ->> 'public', c.data -> 'changes' -> 'public' ->> 'to'))::boolean AS public,
                coalesce(c.data ->> 'state', c.data -> 'changes' -> 'state' ->> 'to') AS state
            FROM (SELECT id, subject, subjectseq, data::jsonb AS data FROM outbox WHERE type IN ('plaudit.board.created', 'plaudit.board.updated')) c
        ) v
        WINDOW w AS (PARTITION BY v.subject ORDER BY v.subjectseq)
    ) e
    JOIN boards b ON 'board/' || b.id = e.subject
) e
WHERE o.id = e.id AND o.extensions IS NULL;

-- The relay and checks find rows by these. An index that could not be finished is of no
-- use, and is built again.
DROP INDEX CONCURRENTLY IF EXISTS outbox_entry;
SET lock_timeout = 0;
CREATE UNIQUE INDEX CONCURRENTLY outbox_entry ON outbox (entry) WHERE entry IS NOT NULL;
RESET lock_timeout;

-- Of a player the user: the id on a board of registered players, else the user who had
-- accepted the link then. All of these links were accepted since the outbox exists. And of
-- an entry how many were written together.
UPDATE outbox o
SET extensions = coalesce(o.extensions, CASE WHEN b.players = 'registered' THEN jsonb_build_object('user', e.player)::text END),
    batch_size = coalesce(o.batch_size, c.size)
FROM entries e
JOIN boards b ON b.no = e.board
LEFT JOIN (SELECT batch, count(*) AS size FROM entries WHERE batch IS NOT NULL GROUP BY batch) c ON c.batch = e.batch
WHERE o.entry = e.id AND (o.extensions IS NULL AND b.players = 'registered' OR o.batch_size IS NULL AND e.batch IS NOT NULL);

UPDATE outbox o
SET extensions = jsonb_build_object('user', split_part(o.subject, '/', 4))::text
FROM boards b
WHERE o.kind = 'event' AND o.extensions IS NULL AND b.players = 'registered' AND b.id = split_part(o.subject, '/', 2) AND split_part(o.subject, '/', 3) = 'player';

WITH link AS (
    SELECT o.type, o.subject, o.data::jsonb ->> 'user' AS user_id, o.recordedtime AS since,
        coalesce(lead(o.recordedtime) OVER (PARTITION BY o.subject ORDER BY o.recordedtime), 'infinity') AS until
    FROM outbox o
    WHERE o.type IN ('plaudit.player.link-accepted', 'plaudit.player.link-ended', 'plaudit.player.erased')
), linked AS (
    SELECT o.id, l.user_id
    FROM link l
    JOIN outbox o ON o.subject = l.subject AND o.recordedtime >= l.since AND o.recordedtime < l.until
    WHERE l.type = 'plaudit.player.link-accepted'
    UNION ALL
    SELECT o.id, l.user_id
    FROM link l
    JOIN boards b ON b.id = split_part(l.subject, '/', 2)
    JOIN entries e ON e.board = b.no AND e.player = split_part(l.subject, '/', 4) AND e.recorded_at >= l.since AND e.recorded_at < l.until
    JOIN outbox o ON o.entry = e.id
    WHERE l.type = 'plaudit.player.link-accepted'
)
UPDATE outbox o
SET extensions = jsonb_build_object('user', l.user_id)::text
FROM linked l
WHERE o.id = l.id AND o.extensions IS NULL;

DROP INDEX CONCURRENTLY IF EXISTS outbox_unsent;
DROP INDEX CONCURRENTLY IF EXISTS outbox_sent;
SET lock_timeout = 0;
CREATE INDEX CONCURRENTLY outbox_unsent ON outbox (id) WHERE sent_at IS NULL;
CREATE INDEX CONCURRENTLY outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
RESET lock_timeout;
