-- Shares the locks of the boards' runs that close within a minute, which is
-- longer than any writer takes.
CREATE OR REPLACE FUNCTION internal.share_closing(p_boards integer[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := plaudit_now();
BEGIN
    PERFORM pg_advisory_xact_lock_shared(r.lock)
    FROM (
        SELECT internal.run_lock(r.board, r.period, r.start_at) AS lock
        FROM (SELECT DISTINCT no FROM unnest(p_boards) AS i (no)) i
        CROSS JOIN LATERAL (SELECT b AS board FROM boards b WHERE b.no = i.no LIMIT 1) b
        CROSS JOIN LATERAL internal.runs_open_at(b.board, v_now) r
        WHERE internal.run_closes_at(b.board, r.end_at) <= v_now + interval '1 minute'
        ORDER BY lock
        OFFSET 0
    ) r;
END $$;
