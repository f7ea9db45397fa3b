-- Returns the board, or null. It is PL/pgSQL, because a session keeps the plans of
-- PL/pgSQL functions and of no SQL function.
CREATE OR REPLACE FUNCTION board_v1(p_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN (SELECT internal.board_json(b) FROM boards b WHERE b.id = p_id);
END $$;

REVOKE ALL ON FUNCTION board_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION board_v1 TO score_add, score_query, board_admin, pg_database_owner, db_check; -- the last two for boards check
