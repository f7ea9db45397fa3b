-- +goose Up

-- The number of a row comes again after the database was set back to a point in time, or
-- was replaced, while the log keeps the event with that number. So from now on a row also
-- has a random tag, which becomes a part of its event's id. Rows that are there have none,
-- and keep the ids under which they may have been sent.
--
-- A relay keeps its rows locked while it sends them, for up to four seconds. Writers wait
-- behind a migration that waits for it, so this one waits shortly and often.
-- +goose StatementBegin
DO $do$
BEGIN
    SET LOCAL lock_timeout = '250ms';
    FOR v_try IN 1..100 LOOP
        BEGIN
            ALTER TABLE outbox ADD COLUMN tag uuid;
            ALTER TABLE outbox_failed ADD COLUMN tag uuid;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF v_try = 100 THEN
                RAISE;
            END IF;
        END;
        PERFORM pg_sleep(0.5);
    END LOOP;
END $do$;
-- +goose StatementEnd

-- A relay of the previous release sends a row under its number alone, and must not share
-- rows with one of this release, which sends it under another id. So it takes rows without
-- tag only, and rows get none while it is the only one. The value is 1 while the relay that
-- looked at the outbox last is one of the previous release. It is a sequence because a look
-- that finds nothing is rolled back.
CREATE SEQUENCE outbox_untagged AS smallint MINVALUE 0 START 0;
-- A database without events has no relay yet.
SELECT setval('outbox_untagged', 1) WHERE pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass) IS NOT NULL;

-- Not with the column, because that would write the whole table again.
ALTER TABLE outbox ALTER COLUMN tag SET DEFAULT CASE WHEN pg_sequence_last_value('outbox_untagged'::regclass) = 1 THEN NULL ELSE gen_random_uuid() END;

-- outbox_row_v1 with the tag.
CREATE TYPE outbox_row_v2 AS (
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
    sent_at      timestamptz,
    tag          uuid
);
