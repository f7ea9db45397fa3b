-- Returns the runs of p_runs that are open at p_now, by set. It makes the rows of
-- open runs that have no row yet.
CREATE OR REPLACE FUNCTION internal.open_runs(p_runs add_run_v1[], p_now timestamptz) RETURNS internal.opened
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_opened  internal.opened;
    v_missing boolean; -- a row is
BEGIN
    LOOP
        SELECT array_agg((s.run_set, s.runs, s.partial)::internal.run_set), min(s.open_until), bool_or(s.partial), bool_or(s.missing)
        INTO v_opened.sets, v_opened.open_until, v_opened.any_closed, v_missing
        FROM (
            SELECT s.run_set, array_agg(s.no ORDER BY s.n) FILTER (WHERE s.closes_at > p_now) AS runs, bool_or(s.closes_at <= p_now) AS partial,
                min(s.closes_at) FILTER (WHERE s.closes_at > p_now) AS open_until, bool_or(s.no IS NULL AND s.closes_at > p_now) AS missing
            FROM (
                SELECT s.run_set, s.n, internal.run_closes_at(b.board, coalesce(s.end_at, 'infinity')) AS closes_at, r.no
                FROM unnest(p_runs) WITH ORDINALITY AS s (run_set, board, period, start_at, end_at, n)
                CROSS JOIN LATERAL (SELECT b AS board, b.no FROM boards b WHERE b.id = s.board LIMIT 1) b
                LEFT JOIN LATERAL (
                    SELECT r.no FROM runs r
                    WHERE r.board = b.no AND r.period = s.period AND r.start_at = coalesce(s.start_at, '-infinity')
                    LIMIT 1) r ON true
            ) s
            GROUP BY s.run_set
        ) s;
        EXIT WHEN v_missing IS NOT TRUE;

        INSERT INTO runs (board, period, start_at, end_at)
        SELECT DISTINCT b.no, s.period, coalesce(s.start_at, '-infinity'), coalesce(s.end_at, 'infinity')
        FROM unnest(p_runs) s
        CROSS JOIN LATERAL (SELECT b AS board, b.no FROM boards b WHERE b.id = s.board LIMIT 1) b
        WHERE internal.run_closes_at(b.board, coalesce(s.end_at, 'infinity')) > p_now
          AND (SELECT r.no FROM runs r
               WHERE r.board = b.no AND r.period = s.period AND r.start_at = coalesce(s.start_at, '-infinity')) IS NULL
        ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN v_opened;
END $$;
