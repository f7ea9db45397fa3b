-- Sets a player's name and country to those of the user's profile, and reports the change
-- if there is one. The player, of the board p_board, is locked.
CREATE OR REPLACE FUNCTION internal.follow_account(p_board text, p_player players, p_profile profiles, p_actor text, p_traceparent text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_row players;
BEGIN
    IF p_profile.user_id IS NULL OR p_profile.erased
        OR (p_player.display_name, p_player.country) IS NOT DISTINCT FROM (p_profile.display_name, p_profile.country) THEN
        RETURN;
    END IF;
    UPDATE players SET display_name = p_profile.display_name, country = p_profile.country,
        events = events + 1, recorded_at = greatest(plaudit_now(), recorded_at + interval '1 microsecond')
    WHERE board = p_player.board AND id = p_player.id
    RETURNING * INTO v_row;
    PERFORM internal.report_player('plaudit.player.changed', p_board, v_row, p_actor, NULL,
        jsonb_build_object('changes', internal.player_changes(internal.player_json(p_player), internal.player_json(v_row))), p_traceparent);
END $$;
