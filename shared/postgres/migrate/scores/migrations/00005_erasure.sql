-- +goose NO TRANSACTION
-- +goose Up

-- Events of players contained values of names, countries and attributes. Each statement
-- is a transaction of its own, so that writers wait for the first one only. All of them
-- can be repeated.
--
-- The functions of the previous version write such events until the new ones are there,
-- which is after the last migration. All of them take the values from player_changes. They
-- write to players before they call it. So when the lock is granted, every event with
-- values has been committed, and a session that waits for the lock calls the new function
-- afterwards.
-- +goose StatementBegin
DO $do$
BEGIN
    LOCK TABLE players IN SHARE ROW EXCLUSIVE MODE;
    CREATE OR REPLACE FUNCTION internal.player_changes(p_old jsonb, p_new jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE AS $$
        SELECT coalesce(jsonb_object_agg(n.key,
            CASE WHEN n.key IN ('user', 'status', 'note') THEN jsonb_build_object('from', p_old -> n.key, 'to', n.value)
                ELSE '{}' END), '{}')
        FROM jsonb_each(p_new) n
        WHERE n.value IS DISTINCT FROM coalesce(p_old -> n.key, CASE n.key WHEN 'attributes' THEN '{}'::jsonb END)
    $$;
END $do$;
-- +goose StatementEnd

-- Nothing has been sent yet, so the log has none of these events.
UPDATE outbox o
SET data = jsonb_set(o.data::jsonb, '{changes}', (
    SELECT coalesce(jsonb_object_agg(c.key,
        CASE WHEN c.key IN ('display_name', 'country', 'attributes') THEN '{}' ELSE c.value END), '{}')
    FROM jsonb_each(o.data::jsonb -> 'changes') c
    -- Of a new player without attributes.
    WHERE c.key <> 'attributes' OR coalesce(nullif(c.value -> 'from', 'null'), '{}') IS DISTINCT FROM c.value -> 'to'))::text
WHERE o.type = 'plaudit.player.changed' AND o.data::jsonb -> 'changes' ?| '{display_name,country,attributes}';

-- An erasure clears metadata, in steps: those that are left are found at once. An index
-- that could not be finished stays, and is of no use. Building it waits for every
-- transaction that began before, such as a check of a board.
SET lock_timeout = 0;
DROP INDEX CONCURRENTLY IF EXISTS entries_metadata;
CREATE INDEX CONCURRENTLY entries_metadata ON entries (board, player, id) WHERE metadata IS NOT NULL;
RESET lock_timeout;
