-- Returns rows of events: those of p_ids, or if it is null the first p_limit with an id
-- above p_after. They are in the order of their ids.
CREATE OR REPLACE FUNCTION outbox_kept_v1(p_after bigint, p_ids bigint[], p_limit integer) RETURNS SETOF outbox_row_v1
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    IF p_ids IS NULL THEN
        p_ids := ARRAY(SELECT o.id FROM outbox o WHERE o.id > p_after AND o.kind = 'event' ORDER BY o.id LIMIT p_limit);
    END IF;
    RETURN QUERY SELECT r.* FROM internal.outbox_rows(p_ids) r WHERE r.kind = 'event';
END $$;

REVOKE ALL ON FUNCTION outbox_kept_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_kept_v1 TO db_check;
