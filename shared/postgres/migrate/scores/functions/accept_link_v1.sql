-- Accepts the proposal that a player is the user, from when on they are. The user may
-- accept one that they have declined. The player then has the name and the country of the
-- user's profile. Returns the link as the user's list shows it, and as wake whether the
-- caller must wake the relay, also of a repeated call: the first one may have died before
-- the wake. It returns null if there is no proposal. A link that is in force stays as it
-- is, and nobody who was erased accepts one.
CREATE OR REPLACE FUNCTION accept_link_v1(p_board text, p_player text, p_user text, p_actor text, p_traceparent text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_row     players := internal.link_of(p_board, p_player, p_user);
    v_profile profiles;
BEGIN
    IF v_row.id IS NULL THEN
        RETURN NULL;
    END IF;
    IF v_row.link_state <> 'accepted' THEN
        v_profile := internal.profile_of(p_user);
        IF v_profile.erased THEN
            RETURN NULL;
        END IF;
        UPDATE players SET user_id = p_user, link_state = 'accepted', events = events + 1, recorded_at = greatest(plaudit_now(), recorded_at + interval '1 microsecond')
        WHERE board = v_row.board AND id = p_player
        RETURNING * INTO v_row;
        DELETE FROM link_refusals WHERE board = v_row.board AND player = p_player AND user_id = p_user;
        PERFORM internal.report_player('plaudit.player.link-accepted', p_board, v_row, p_actor, NULL, jsonb_build_object('user', p_user), p_traceparent);
        PERFORM internal.follow_account(p_board, v_row, v_profile, p_actor, p_traceparent);
    END IF;
    RETURN (
        SELECT jsonb_build_object('board', p_board, 'title', b.title, 'player', p_player, 'state', v_row.link_state,
            'proposed_by', v_row.proposed_by, 'proposed_at', v_row.proposed_at, 'wake', internal.wake())
        FROM boards b WHERE b.no = v_row.board);
END $$;

REVOKE ALL ON FUNCTION accept_link_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION accept_link_v1 TO board_admin;
