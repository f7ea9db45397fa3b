-- Sets when runs of a board close that was opened from a draft, at most p_limit of them.
-- Returns whether there was such a board: then there may be more to do. Nobody else dates
-- these runs: the draft was opened when nobody added to it, and later runs are made with
-- their date. A board that another session dates is left to it.
CREATE OR REPLACE FUNCTION date_runs_v1(p_limit integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_board integer;
    v_dated integer;
BEGIN
    SELECT o.board INTO v_board FROM opened_boards o ORDER BY o.board LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE runs r SET closes_at = (SELECT internal.run_closes_at(b, r.end_at) FROM boards b WHERE b.no = r.board)
    WHERE r.no = ANY (ARRAY(SELECT u.no FROM runs u WHERE u.board = v_board AND u.closes_at = 'infinity' AND u.end_at < 'infinity' LIMIT p_limit));
    GET DIAGNOSTICS v_dated = ROW_COUNT;
    IF v_dated < p_limit THEN
        DELETE FROM opened_boards WHERE board = v_board;
    END IF;
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION date_runs_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION date_runs_v1 TO period_close;
