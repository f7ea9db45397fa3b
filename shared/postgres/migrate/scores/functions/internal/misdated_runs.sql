-- Returns the board's runs that do not carry when they close, with what they carry and what
-- they should. Those that date_runs_v1 has yet to date are left out.
CREATE OR REPLACE FUNCTION internal.misdated_runs(b boards) RETURNS TABLE (period text, start_at timestamptz, stored timestamptz, ledger timestamptz)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
        SELECT r.period, r.start_at, r.closes_at, internal.run_closes_at(b, r.end_at)
        FROM runs r
        WHERE r.board = b.no AND r.end_at < 'infinity' AND r.closes_at IS DISTINCT FROM internal.run_closes_at(b, r.end_at)
          AND NOT EXISTS (SELECT FROM opened_boards o WHERE o.board = b.no);
END $$;
