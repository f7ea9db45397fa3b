-- Does what change_player_v2 does for functions of the previous release, which go on
-- while a deployment replaces them. They do not pass the person who acts; p_user is the
-- user whom they want to link to a new player, and nobody is linked without being asked.
-- A link that they propose by an API key is left out.
CREATE OR REPLACE FUNCTION change_player_v1(p_board text, p_version bigint, p_player text, p_user text, p_patch jsonb, p_actor text, p_traceparent text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN change_player_v2(p_board, p_version, p_player, p_patch, p_actor, internal.person(p_actor), p_traceparent);
END $$;

REVOKE ALL ON FUNCTION change_player_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION change_player_v1 TO board_admin;
