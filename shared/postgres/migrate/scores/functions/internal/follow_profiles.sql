-- Brings the copies of categories in the standings of open runs up to date with the
-- players that changed. Names and countries have no copies.
CREATE OR REPLACE FUNCTION internal.follow_profiles(p_changes internal.player_change[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_boards  integer[];
    v_players text[];
BEGIN
    SELECT array_agg(c.board), array_agg(c.player) INTO v_boards, v_players FROM unnest(p_changes) c WHERE c.new -> 'attributes' <> c.old -> 'attributes';
    IF v_boards IS NOT NULL THEN
        PERFORM internal.follow_players(v_boards, v_players, p_now);
    END IF;
END $$;
