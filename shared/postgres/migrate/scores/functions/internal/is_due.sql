-- Returns whether a run has closed and is not announced yet. Call it after the last wait.
CREATE OR REPLACE FUNCTION internal.is_due(p_run bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM runs r
        JOIN boards b ON b.no = r.board
        WHERE r.no = p_run AND r.announced_at IS NULL AND internal.run_closes_at(b, r.end_at) <= plaudit_now());
END $$;
