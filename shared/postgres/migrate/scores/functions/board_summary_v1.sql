-- Returns the board without its catalogue, or null. A catalogue can be as large as a
-- page of a list, so it is not read: a large one is stored apart from its row.
CREATE OR REPLACE FUNCTION board_summary_v1(p_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_board boards;
BEGIN
    SELECT * INTO v_board FROM boards WHERE id = p_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_board.catalogue := NULL;
    RETURN internal.board_json(v_board) - 'catalogue';
END $$;

REVOKE ALL ON FUNCTION board_summary_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION board_summary_v1 TO score_query;
