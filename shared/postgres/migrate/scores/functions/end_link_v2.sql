-- Ends the user's link to a player, or declines the proposal, which then cannot be
-- repeated. known is false if there is neither; one that the user has declined already
-- stays as it is. wake is true if the caller must wake the relay, also of a repeated call:
-- the one that ended the link may have died before the wake.
CREATE OR REPLACE FUNCTION end_link_v2(p_board text, p_player text, p_user text, p_actor text, p_traceparent text, OUT known boolean, OUT wake boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_row   players := internal.link_of(p_board, p_player, p_user);
    v_state text := v_row.link_state;
BEGIN
    IF v_row.id IS NULL THEN
        -- An owner may have proposed somebody else since.
        known := EXISTS (SELECT FROM link_refusals r JOIN boards b ON b.no = r.board WHERE b.id = p_board AND r.player = p_player AND r.user_id = p_user);
        wake := known AND internal.wake();
        RETURN;
    END IF;
    IF v_state <> 'declined' THEN
        UPDATE players SET user_id = NULL, link_state = 'declined', events = events + 1, recorded_at = greatest(plaudit_now(), recorded_at + interval '1 microsecond')
        WHERE board = v_row.board AND id = p_player
        RETURNING * INTO v_row;
        INSERT INTO link_refusals (board, player, user_id, at) VALUES (v_row.board, p_player, p_user, plaudit_now());
        PERFORM internal.report_player('plaudit.player.link-ended', p_board, v_row, p_actor, NULL,
            jsonb_build_object('user', p_user, 'state', v_state), p_traceparent);
    END IF;
    known := true;
    wake := internal.wake();
END $$;

REVOKE ALL ON FUNCTION end_link_v2 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_link_v2 TO board_admin;
