-- +goose NO TRANSACTION
-- +goose Up

-- From now on the service sends the outbox to the audit log. Each statement is a
-- transaction of its own and can be repeated, so that writers wait for short ones only.

ALTER TABLE users ADD COLUMN IF NOT EXISTS events bigint NOT NULL DEFAULT 0; -- subjectseq of the account's newest event
GRANT UPDATE (events) ON users TO users_service;
ALTER TABLE outbox
    ADD COLUMN IF NOT EXISTS subjectseq  bigint,  -- 1, 2, 3 … of the events of a subject
    ADD COLUMN IF NOT EXISTS extensions  text,    -- further attributes of the event, a JSON object; null: none
    ADD COLUMN IF NOT EXISTS enc         smallint NOT NULL DEFAULT 1, -- version of the event's encoding
    ADD COLUMN IF NOT EXISTS batch_size  integer, -- unused in this database
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
REVOKE ALL ON outbox_failed FROM PUBLIC;

-- What only other functions call. No role but the owner has USAGE of it.
CREATE SCHEMA IF NOT EXISTS internal;

-- A row of the outbox as the relay and checks read it.
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
            entry_data   json, -- null in this database
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

GRANT SELECT (id, kind, sent_at, restored) ON outbox TO db_check;
GRANT SELECT (id, type, reason) ON outbox_failed TO db_check;

-- Numbers the events that exist. The events of an account commit in their order, because
-- each locks the account's row; so a statement sees the first ones of each account, and
-- finding more of them later changes no number.
UPDATE outbox o
SET subjectseq = n.n
FROM (SELECT id, row_number() OVER (PARTITION BY subject ORDER BY recordedtime, id) AS n FROM outbox WHERE kind = 'event') n
WHERE n.id = o.id AND o.subjectseq IS NULL;

-- Accounts count them. Events of an account wait for the change of its row, so it commits
-- after every thousand. Erased accounts have no more events.
-- +goose StatementBegin
DO $do$
DECLARE
    v_last uuid := '00000000-0000-0000-0000-000000000000';
    v_next uuid;
BEGIN
    DROP TABLE IF EXISTS counted;
    CREATE TEMP TABLE counted AS
        SELECT u.id, c.events
        FROM (SELECT subject, max(subjectseq) AS events FROM outbox WHERE subjectseq IS NOT NULL GROUP BY subject) c
        JOIN users u ON 'user/' || u.id = c.subject;
    CREATE UNIQUE INDEX ON counted (id);
    ANALYZE counted;
    LOOP
        SELECT c.id INTO v_next FROM (SELECT c.id FROM counted c WHERE c.id > v_last ORDER BY c.id LIMIT 1000) c ORDER BY c.id DESC LIMIT 1;
        EXIT WHEN v_next IS NULL;
        UPDATE users u SET events = c.events FROM counted c WHERE c.id > v_last AND c.id <= v_next AND u.id = c.id AND u.events < c.events;
        COMMIT;
        v_last := v_next;
    END LOOP;
    DROP TABLE counted;
END $do$;
-- +goose StatementEnd

-- To find those that came meanwhile.
DROP INDEX CONCURRENTLY IF EXISTS outbox_unnumbered;
SET lock_timeout = 0;
CREATE INDEX CONCURRENTLY outbox_unnumbered ON outbox (id) WHERE subjectseq IS NULL AND kind = 'event';
RESET lock_timeout;

-- The service writes events without numbers, the previous version of it too. It changes
-- the account's row first. So when the lock is granted, every event without a number has
-- been committed, and sessions that wait for the lock find the trigger.
-- +goose StatementBegin
DO $do$
DECLARE
    v_row record;
    v_seq bigint;
BEGIN
    LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE;
    FOR v_row IN SELECT o.id, o.subject FROM outbox o WHERE o.subjectseq IS NULL AND o.kind = 'event' ORDER BY o.recordedtime, o.id LOOP
        UPDATE users u SET events = u.events + 1
        WHERE u.id = CASE WHEN v_row.subject ~ '^user/[0-9a-f-]{36}$' THEN substr(v_row.subject, 6)::uuid END
        RETURNING u.events INTO v_seq;
        -- Of an erased account the event is the last one.
        UPDATE outbox SET subjectseq = coalesce(v_seq, (SELECT max(o.subjectseq) + 1 FROM outbox o WHERE o.subject = v_row.subject AND o.kind = 'event'), 1)
        WHERE id = v_row.id;
    END LOOP;

    -- A file of the same name replaces this body right after the migrations.
    CREATE OR REPLACE FUNCTION internal.number_event() RETURNS trigger
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        UPDATE users u SET events = u.events + 1
        WHERE u.id = CASE WHEN NEW.subject ~ '^user/[0-9a-f-]{36}$' THEN substr(NEW.subject, 6)::uuid END
        RETURNING u.events INTO NEW.subjectseq;
        IF NEW.subjectseq IS NULL AND NEW.type = 'plaudit.user.erased' THEN
            NEW.subjectseq := coalesce((SELECT max(o.subjectseq) FROM outbox o WHERE o.subject = NEW.subject AND o.kind = 'event'), 0) + 1;
        END IF;
        RETURN NEW;
    END $$;
    CREATE OR REPLACE TRIGGER outbox_numbered BEFORE INSERT ON outbox
        FOR EACH ROW WHEN (NEW.subjectseq IS NULL AND NEW.kind = 'event')
        EXECUTE FUNCTION internal.number_event();
END $do$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS outbox_unnumbered;

-- The relay finds rows by these. An index that could not be finished is of no use, and is
-- built again.
DROP INDEX CONCURRENTLY IF EXISTS outbox_unsent;
DROP INDEX CONCURRENTLY IF EXISTS outbox_sent;
SET lock_timeout = 0;
CREATE INDEX CONCURRENTLY outbox_unsent ON outbox (id) WHERE sent_at IS NULL;
CREATE INDEX CONCURRENTLY outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
RESET lock_timeout;
