-- Does what end_link_v2 does for functions of the previous release, which go on while a
-- deployment replaces them. They do not wake the relay.
CREATE OR REPLACE FUNCTION end_link_v1(p_board text, p_player text, p_user text, p_actor text, p_traceparent text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN (SELECT e.known FROM end_link_v2(p_board, p_player, p_user, p_actor, p_traceparent) e);
END $$;

REVOKE ALL ON FUNCTION end_link_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_link_v1 TO board_admin;
