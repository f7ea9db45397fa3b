-- Returns the extensions of a player's events, null for none: the user who the player is.
-- That is p_user, whose link is accepted, or on a board of registered players the id.
-- Such ids are UUIDs, so callers with many players skip those of another length.
CREATE OR REPLACE FUNCTION internal.player_extensions(p_board integer, p_player text, p_user text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_user IS NOT NULL THEN
        RETURN jsonb_build_object('user', p_user)::text;
    END IF;
    RETURN (SELECT jsonb_build_object('user', p_player)::text FROM boards b WHERE b.no = p_board AND b.players = 'registered');
END $$;
