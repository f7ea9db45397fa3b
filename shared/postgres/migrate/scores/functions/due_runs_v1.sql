-- Returns the runs that have closed and are not announced yet, at most p_limit, in the
-- order of (closed_at, run) after a place, and for how many seconds each has been closed.
CREATE OR REPLACE FUNCTION due_runs_v1(p_closed_at timestamptz, p_run bigint, p_limit integer)
RETURNS TABLE (run bigint, closed_at timestamptz, age double precision)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_now timestamptz := plaudit_now();
BEGIN
    RETURN QUERY
        SELECT r.no, r.closes_at, extract(epoch FROM v_now - r.closes_at)::double precision
        FROM runs r
        WHERE r.announced_at IS NULL AND r.closes_at < 'infinity' AND r.closes_at <= v_now
          AND (r.closes_at, r.no) > (p_closed_at, p_run)
        ORDER BY r.closes_at, r.no
        LIMIT p_limit;
END $$;

REVOKE ALL ON FUNCTION due_runs_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_runs_v1 TO period_close;
