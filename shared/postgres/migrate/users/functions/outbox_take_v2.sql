-- Locks the oldest rows with an id above p_after that have yet to be sent and that nobody
-- else has locked, and returns them: at most p_limit, and no more than one beyond p_bytes.
-- A row of a later encoding than p_enc stays, because only a later version can send it.
CREATE OR REPLACE FUNCTION outbox_take_v2(p_enc integer, p_after bigint, p_limit integer, p_bytes bigint) RETURNS SETOF outbox_row_v2
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    c_entry CONSTANT integer := 2000; -- about the size of an entry's event
    v_ids bigint[];
BEGIN
    IF pg_sequence_last_value('outbox_untagged') = 1 THEN
        PERFORM setval('outbox_untagged', 0);
    END IF;
    v_ids := ARRAY(
        SELECT s.id
        FROM (
            SELECT l.id, sum(l.size) OVER (ORDER BY l.id) - l.size AS before
            FROM (
                SELECT o.id, coalesce(octet_length(o.data), c_entry) AS size
                FROM outbox o
                WHERE o.sent_at IS NULL AND o.id > p_after AND o.enc <= p_enc
                ORDER BY o.id
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED) l
        ) s
        WHERE s.before < p_bytes);
    -- A statement of its own sees the rows as they are since they are locked.
    RETURN QUERY SELECT r.* FROM internal.outbox_rows(v_ids) r;
END $$;

REVOKE ALL ON FUNCTION outbox_take_v2 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_take_v2 TO users_service;
