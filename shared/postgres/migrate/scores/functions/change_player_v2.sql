-- Makes or changes a player by a patch of display_name, country, user, status,
-- note and attributes (a JSON merge patch, RFC 7396) if the board's version is
-- still p_version. `user` is whom the player is proposed to be, see
-- internal.change_links. p_user is the person who acts: of an API key, its owner.
-- Returns {stale: board} or {player, made, wake}: whether the caller must wake the relay.
-- A patch that changes nothing may be the repetition of one whose caller died before the
-- wake.
--
-- It shares the board's lock with adds, and meets those to the same player at
-- the player's row.
CREATE OR REPLACE FUNCTION change_player_v2(p_board text, p_version bigint, p_player text, p_patch jsonb, p_actor text, p_user text, p_traceparent text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_board  boards;
    v_row    players;
    v_now    timestamptz;
    v_made   boolean;
    v_old    jsonb;
    v_new    jsonb;
    v_notify text;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(internal.board_lock(p_board));
    SELECT * INTO STRICT v_board FROM boards WHERE id = p_board;
    IF v_board.version <> p_version THEN
        RETURN jsonb_build_object('stale', internal.board_json(v_board));
    END IF;

    PERFORM internal.share_closing(ARRAY[v_board.no]);
    INSERT INTO players (board, id, seq, recorded_at)
    VALUES (v_board.no, p_player, 0, plaudit_now())
    ON CONFLICT DO NOTHING;
    v_made := FOUND;
    SELECT * INTO STRICT v_row FROM players WHERE board = v_board.no AND id = p_player FOR UPDATE;
    v_now := plaudit_now(); -- after the last wait: what is closed is decided now
    v_old := internal.player_json(v_row);
    v_new := internal.player_patch(NULL, v_old, p_patch);
    IF internal.too_many_attributes(v_new -> 'attributes') THEN
        PERFORM internal.refuse('attributes', 0);
    END IF;

    IF v_made OR v_new <> v_old THEN
        UPDATE players SET
            display_name = v_new ->> 'display_name', country = v_new ->> 'country',
            status = v_new ->> 'status', note = v_new ->> 'note', attributes = v_new -> 'attributes',
            cat1 = v_new -> 'attributes' ->> v_board.categories[1], cat2 = v_new -> 'attributes' ->> v_board.categories[2],
            cat3 = v_new -> 'attributes' ->> v_board.categories[3], cat4 = v_new -> 'attributes' ->> v_board.categories[4],
            recorded_at = CASE WHEN v_made THEN v_row.recorded_at ELSE greatest(plaudit_now(), v_row.recorded_at + interval '1 microsecond') END, events = events + 1
        WHERE board = v_board.no AND id = p_player
        RETURNING * INTO v_row;
        PERFORM internal.follow_players(ARRAY[v_board.no], ARRAY[p_player], v_now);
        IF NOT v_made AND v_new -> 'status' <> v_old -> 'status' THEN
            -- The link that was accepted until now: the same patch may end it.
            v_notify := internal.opened_notified(v_board.no, 'plaudit.player.changed', p_user, v_row.user_id);
        END IF;
        PERFORM internal.report_player('plaudit.player.changed', p_board, v_row, p_actor, v_notify,
            jsonb_build_object('changes', internal.player_changes(CASE WHEN v_made THEN '{}' ELSE v_old END,
                CASE WHEN v_made THEN jsonb_strip_nulls(v_new) ELSE v_new END)),
            p_traceparent);
    END IF;

    IF p_patch ? 'user' THEN
        PERFORM internal.change_links(ARRAY[v_board.no], ARRAY[p_player], ARRAY[p_patch ->> 'user'], ARRAY[0], p_actor, p_user, p_traceparent);
        SELECT * INTO STRICT v_row FROM players WHERE board = v_board.no AND id = p_player;
    END IF;
    RETURN jsonb_build_object('made', v_made, 'wake', internal.wake(), 'player', v_new || jsonb_build_object('board', p_board, 'player', p_player,
        'user', v_row.user_id, 'proposed_user', v_row.proposed_user, 'link_state', v_row.link_state));
END $$;

REVOKE ALL ON FUNCTION change_player_v2 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION change_player_v2 TO board_admin;
