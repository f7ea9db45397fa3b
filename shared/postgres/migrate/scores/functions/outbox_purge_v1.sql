-- Deletes at most p_limit rows that were sent more than p_keep ago, the oldest first, and
-- returns how many.
CREATE OR REPLACE FUNCTION outbox_purge_v1(p_keep interval, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_before CONSTANT timestamptz := plaudit_now() - p_keep;
    v_gone bigint;
BEGIN
    DELETE FROM outbox
    WHERE id = ANY (ARRAY(
        SELECT o.id FROM outbox o
        WHERE o.sent_at IS NOT NULL AND o.sent_at < v_before
        ORDER BY o.sent_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    RETURN v_gone;
END $$;

REVOKE ALL ON FUNCTION outbox_purge_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_purge_v1 TO outbox_relay;
