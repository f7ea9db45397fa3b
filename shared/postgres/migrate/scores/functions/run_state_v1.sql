-- Returns open, closed or closing. A run is closing for a minute after it closed:
-- entries that were added before may not be visible yet (settle_v1 waits for them).
-- p_end is the end of the run, infinity if it has none.
CREATE OR REPLACE FUNCTION run_state_v1(p_board text, p_end timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_closes timestamptz := (SELECT internal.run_closes_at(b, p_end) FROM boards b WHERE b.id = p_board);
    v_now    timestamptz := plaudit_now();
BEGIN
    RETURN CASE WHEN v_now < v_closes THEN 'open' WHEN v_now < v_closes + interval '1 minute' THEN 'closing' ELSE 'closed' END;
END $$;

REVOKE ALL ON FUNCTION run_state_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION run_state_v1 TO score_query;
