-- +goose NO TRANSACTION
-- +goose Up

-- From now on runs carry when they close, so that those that are due are found at once,
-- and their closing is announced. Each statement is a transaction of its own and can be
-- repeated.

-- The boards that left the state of a draft, until their runs carry when they close
-- (date_runs_v1): a draft can have more runs than the change of a board has time for.
CREATE TABLE IF NOT EXISTS opened_boards (board integer PRIMARY KEY);
REVOKE ALL ON opened_boards FROM PUBLIC;

-- Triggers, because the functions of the previous release make runs and open drafts until
-- the new ones are there. Files of the same names replace these bodies right after the
-- migrations.
--
-- Adds hold a lock of runs for as long as a large batch takes, and others wait behind a
-- migration that waits for them, so this one waits shortly and often.
-- +goose StatementBegin
DO $do$
BEGIN
    CREATE OR REPLACE FUNCTION internal.date_run() RETURNS trigger
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        NEW.closes_at := (SELECT internal.run_closes_at(b, NEW.end_at) FROM boards b WHERE b.no = NEW.board);
        RETURN NEW;
    END $$;
    CREATE OR REPLACE FUNCTION internal.note_opening() RETURNS trigger
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        INSERT INTO opened_boards (board) VALUES (NEW.no) ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;

    SET LOCAL lock_timeout = '250ms';
    FOR v_try IN 1..100 LOOP
        BEGIN
            CREATE OR REPLACE TRIGGER boards_opened AFTER UPDATE ON boards
                FOR EACH ROW WHEN (OLD.opened_at IS NULL AND NEW.opened_at IS NOT NULL) EXECUTE FUNCTION internal.note_opening();
            ALTER TABLE runs
                ADD COLUMN IF NOT EXISTS closes_at    timestamptz, -- see internal.run_closes_at; infinity or null: never, or not before the board is opened
                ADD COLUMN IF NOT EXISTS announced_at timestamptz; -- recordedtime of the event; of runs that closed before there were such events, closes_at
            CREATE OR REPLACE TRIGGER runs_dated BEFORE INSERT ON runs
                FOR EACH ROW EXECUTE FUNCTION internal.date_run();
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

-- The runs that are there and have an end. Nobody waited for the announcement of those that have closed:
-- there may be a million of them, and people would get mail about last year. Rows that
-- come meanwhile are dated by the trigger. It commits after every thousand.
-- +goose StatementBegin
DO $do$
DECLARE
    v_now  timestamptz := clock_timestamp(); -- what closes from now on is announced
    v_last bigint := 0;
    v_next bigint;
BEGIN
    LOOP
        SELECT max(r.no) INTO v_next FROM (SELECT r.no FROM runs r WHERE r.no > v_last AND r.end_at < 'infinity' ORDER BY r.no LIMIT 1000) r;
        EXIT WHEN v_next IS NULL;
        UPDATE runs r
        SET closes_at = internal.run_closes_at(b, r.end_at),
            announced_at = CASE WHEN internal.run_closes_at(b, r.end_at) <= v_now THEN internal.run_closes_at(b, r.end_at) END
        FROM boards b
        WHERE r.no > v_last AND r.no <= v_next AND r.end_at < 'infinity' AND r.closes_at IS NULL AND b.no = r.board;
        COMMIT;
        v_last := v_next;
    END LOOP;
END $do$;
-- +goose StatementEnd

-- What is due next, and what was a draft's. An index that could not be finished is of no
-- use, and is built again.
DROP INDEX CONCURRENTLY IF EXISTS runs_due;
DROP INDEX CONCURRENTLY IF EXISTS runs_undated;
SET lock_timeout = 0;
CREATE INDEX CONCURRENTLY runs_due ON runs (closes_at, no) WHERE announced_at IS NULL AND closes_at < 'infinity';
CREATE INDEX CONCURRENTLY runs_undated ON runs (board) WHERE closes_at = 'infinity' AND end_at < 'infinity';
RESET lock_timeout;
