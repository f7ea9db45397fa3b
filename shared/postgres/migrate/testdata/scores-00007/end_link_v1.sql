-- Ends the user's link to a player, or declines the proposal, which then cannot be
-- repeated. Returns false if there is neither; one that the user has declined already
-- stays as it is.
CREATE OR REPLACE FUNCTION end_link_v1(p_board text, p_player text, p_user text, p_actor text, p_traceparent text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_row   players := internal.link_of(p_board, p_player, p_user);
    v_state text := v_row.link_state;
BEGIN
    IF v_row.id IS NULL THEN
        -- An owner may have proposed somebody else since.
        RETURN EXISTS (SELECT FROM link_refusals r JOIN boards b ON b.no = r.board WHERE b.id = p_board AND r.player = p_player AND r.user_id = p_user);
    END IF;
    IF v_state <> 'declined' THEN
        UPDATE players SET user_id = NULL, link_state = 'declined', recorded_at = greatest(plaudit_now(), recorded_at + interval '1 microsecond')
        WHERE board = v_row.board AND id = p_player
        RETURNING * INTO v_row;
        INSERT INTO link_refusals (board, player, user_id, at) VALUES (v_row.board, p_player, p_user, plaudit_now());
        PERFORM internal.report('plaudit.player.link-ended', 'board/' || p_board || '/player/' || p_player, p_actor, NULL,
            jsonb_build_object('user', p_user, 'state', v_state), v_row.recorded_at, p_traceparent);
    END IF;
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION end_link_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_link_v1 TO board_admin;
