-- Returns the board's runs that are open at an instant. It reads backwards from the
-- latest end and stops at the first closed run, because a board can have many
-- thousands of closed ones.
CREATE OR REPLACE FUNCTION internal.runs_open_at(b boards, p_at timestamptz) RETURNS SETOF runs
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_run runs;
BEGIN
    FOR v_run IN SELECT * FROM runs r WHERE r.board = b.no ORDER BY r.board DESC, r.end_at DESC LOOP
        EXIT WHEN internal.run_closes_at(b, v_run.end_at) <= p_at;
        RETURN NEXT v_run;
    END LOOP;
END $$;
