-- Waits for the sessions that were writing into runs when these closed. A
-- statement that begins afterwards reads the tables as they stay. The lists are
-- parallel.
CREATE OR REPLACE FUNCTION settle_v1(p_boards text[], p_periods text[], p_starts timestamptz[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(r.lock)
    FROM (
        SELECT internal.run_lock(b.no, i.period, i.start_at) AS lock
        FROM unnest(p_boards, p_periods, p_starts) AS i (board, period, start_at)
        JOIN boards b ON b.id = i.board COLLATE "C"
        ORDER BY lock
        OFFSET 0
    ) r;
END $$;

REVOKE ALL ON FUNCTION settle_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_v1 TO score_query;
