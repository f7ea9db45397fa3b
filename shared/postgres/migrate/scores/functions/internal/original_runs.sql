-- Returns p_opened, which internal.open_runs returned, with one more set for each
-- reversal: the runs that its original credited.
CREATE OR REPLACE FUNCTION internal.original_runs(p_opened internal.opened, p_items internal.item[], p_now timestamptz) RETURNS internal.opened
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT p_opened.sets || array_agg((s.run_set, s.runs, s.partial)::internal.run_set), least(p_opened.open_until, min(s.open_until)),
        bool_or(s.partial) OR p_opened.any_closed IS TRUE
    INTO p_opened
    FROM (
        SELECT s.run_set, array_agg(s.no ORDER BY s.n) FILTER (WHERE s.closes_at > p_now) AS runs, bool_or(s.closes_at <= p_now) AS partial,
            min(s.closes_at) FILTER (WHERE s.closes_at > p_now) AS open_until
        FROM (
            SELECT (i.sent).run_set, c.n, r.no, internal.run_closes_at(b.board, r.end_at) AS closes_at
            FROM unnest(p_items) i
            CROSS JOIN LATERAL unnest(i.original_runs) WITH ORDINALITY AS c (no, n)
            CROSS JOIN LATERAL (SELECT r.no, r.end_at FROM runs r WHERE r.no = c.no LIMIT 1) r
            CROSS JOIN LATERAL (SELECT b AS board FROM boards b WHERE b.no = i.board LIMIT 1) b
        ) s
        GROUP BY s.run_set
    ) s;
    RETURN p_opened;
END $$;
