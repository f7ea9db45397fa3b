-- Has sent events sent again, which a restore needs after a loss of the log. It looks at
-- the first p_limit sent rows with an id above p_after, and marks those recorded from
-- p_from to before p_to (null: no limit). last is where the next call goes on, 0 at the
-- end. It can be repeated.
CREATE OR REPLACE FUNCTION outbox_restore_v1(p_after bigint, p_from timestamptz, p_to timestamptz, p_limit integer, OUT marked bigint, OUT last bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_ids bigint[];
BEGIN
    v_ids := ARRAY(
        SELECT o.id FROM outbox o
        WHERE o.id > p_after AND o.sent_at IS NOT NULL AND o.kind = 'event'
        ORDER BY o.id
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED);
    UPDATE outbox SET sent_at = NULL, restored = true
    WHERE id = ANY (v_ids) AND recordedtime >= coalesce(p_from, '-infinity') AND recordedtime < coalesce(p_to, 'infinity');
    GET DIAGNOSTICS marked = ROW_COUNT;
    last := CASE WHEN cardinality(v_ids) < p_limit THEN 0 ELSE v_ids[p_limit] END;
END $$;

REVOKE ALL ON FUNCTION outbox_restore_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_restore_v1 TO db_check;
