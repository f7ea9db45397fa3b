-- Returns whether a player of the board belongs to the user.
CREATE OR REPLACE FUNCTION linked_v1(p_board text, p_user text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM players p JOIN boards b ON b.no = p.board WHERE p.user_id = p_user AND b.id = p_board);
END $$;

REVOKE ALL ON FUNCTION linked_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION linked_v1 TO score_add, score_query, board_admin;
