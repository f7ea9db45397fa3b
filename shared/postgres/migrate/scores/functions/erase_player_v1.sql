-- Does a step of the erasure of a player's personal data if the board's version is still
-- p_version, see internal.erase_player. p_user is the person who acts: of an API key, its
-- owner. Returns {stale: board}, {more, after, wake}, or null if the board has no such player.
-- The state of the board does not matter.
--
-- Entries never change otherwise: no role may update them.
CREATE OR REPLACE FUNCTION erase_player_v1(p_board text, p_version bigint, p_player text, p_after uuid, p_limit integer, p_actor text, p_user text, p_traceparent text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_board boards;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(internal.board_lock(p_board));
    SELECT * INTO STRICT v_board FROM boards WHERE id = p_board;
    IF v_board.version <> p_version THEN
        RETURN jsonb_build_object('stale', internal.board_json(v_board));
    END IF;
    RETURN internal.erase_player(v_board, p_player, NULL, p_after, p_limit, p_actor, p_user, p_traceparent);
END $$;

REVOKE ALL ON FUNCTION erase_player_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_player_v1 TO board_admin;
