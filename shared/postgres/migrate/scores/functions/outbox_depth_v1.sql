-- Returns how many rows have yet to be sent, up to p_limit, and how old the oldest is,
-- those aside that are sent again; 0 if there is none.
CREATE OR REPLACE FUNCTION outbox_depth_v1(p_limit integer, OUT waiting bigint, OUT oldest interval)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    SELECT count(*), greatest(coalesce(plaudit_now() - min(o.recordedtime) FILTER (WHERE o.restored IS NOT TRUE), '0'), '0')
    INTO waiting, oldest
    FROM (SELECT u.recordedtime, u.restored FROM outbox u WHERE u.sent_at IS NULL ORDER BY u.id LIMIT p_limit) o;
END $$;

REVOKE ALL ON FUNCTION outbox_depth_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_depth_v1 TO outbox_relay;
