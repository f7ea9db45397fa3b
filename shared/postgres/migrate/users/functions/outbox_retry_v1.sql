-- Has rows that were set aside sent again, after the cause was corrected. It looks at the
-- first p_limit of them with an id above p_after, and moves them back into the outbox.
-- last is where the next call goes on, 0 at the end. A row that fails again is set aside
-- again, with an id that is not above last, so that the calls end.
CREATE OR REPLACE FUNCTION outbox_retry_v1(p_after bigint, p_limit integer, OUT queued bigint, OUT last bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_ids bigint[];
BEGIN
    v_ids := ARRAY(
        SELECT f.id FROM outbox_failed f
        WHERE f.id > p_after
        ORDER BY f.id
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED);
    -- All columns of outbox, whichever these are: outbox_failed has them under the same
    -- names, and a row that comes back without one of them would be another event.
    WITH failed AS (
        DELETE FROM outbox_failed f WHERE f.id = ANY (v_ids) RETURNING to_jsonb(f) AS columns
    )
    INSERT INTO outbox OVERRIDING SYSTEM VALUE
    SELECT r.* FROM failed CROSS JOIN LATERAL jsonb_populate_record(NULL::outbox, failed.columns) r;
    queued := cardinality(v_ids);
    last := CASE WHEN queued < p_limit THEN 0 ELSE v_ids[p_limit] END;
END $$;

REVOKE ALL ON FUNCTION outbox_retry_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_retry_v1 TO db_check;
