-- +goose Up

-- Makes or changes a player by a patch of display_name, country, user, status,
-- note and attributes (a JSON merge patch, RFC 7396), where the board's version
-- is still p_version. p_user is whom a player that is new belongs to. Answers
-- {stale: board} or {player, made}. A patch of nothing changes nothing.
--
-- It shares the board's lock with adds, and meets those to the same player at
-- the player's row.
-- +goose StatementBegin
CREATE FUNCTION change_player_v1(p_board text, p_version bigint, p_player text, p_user text, p_patch jsonb, p_actor text, p_traceparent text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_board boards;
    v_row   players;
    v_now   timestamptz;
    v_made  boolean;
    v_old   jsonb;
    v_new   jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(board_lock_v1(p_board));
    SELECT * INTO STRICT v_board FROM boards WHERE id = p_board;
    IF v_board.version <> p_version THEN
        RETURN jsonb_build_object('stale', board_json_v1(v_board));
    END IF;

    PERFORM share_closing_v1(ARRAY[v_board.no]);
    INSERT INTO players (board, id, seq, recorded_at, user_id)
    VALUES (v_board.no, p_player, 0, plaudit_now(), p_user)
    ON CONFLICT DO NOTHING;
    v_made := FOUND;
    SELECT * INTO STRICT v_row FROM players WHERE board = v_board.no AND id = p_player FOR UPDATE;
    v_now := plaudit_now(); -- what is closed is decided once nobody is waited for
    v_old := player_json_v1(v_row);
    v_new := player_patch_v1(NULL, v_old, p_patch);
    IF (SELECT count(*) FROM jsonb_object_keys(v_new -> 'attributes')) > 16 THEN
        PERFORM refuse_v1('attributes', 0);
    END IF;

    IF v_made OR v_new <> v_old THEN
        UPDATE players SET
            display_name = v_new ->> 'display_name', country = v_new ->> 'country', user_id = v_new ->> 'user',
            status = v_new ->> 'status', note = v_new ->> 'note', attributes = v_new -> 'attributes',
            recorded_at = CASE WHEN v_made THEN v_row.recorded_at ELSE greatest(plaudit_now(), v_row.recorded_at + interval '1 microsecond') END
        WHERE board = v_board.no AND id = p_player
        RETURNING * INTO v_row;
        PERFORM follow_players_v1(ARRAY[v_board.no], ARRAY[p_player], v_now);
        -- A change of status is told to whom it concerns, unless they did it.
        INSERT INTO outbox (type, recordedtime, traceparent, subject, actor, notify, data)
        VALUES ('plaudit.player.changed', v_row.recorded_at, p_traceparent, 'board/' || p_board || '/player/' || p_player, p_actor,
            CASE WHEN NOT v_made AND v_new -> 'status' <> v_old -> 'status' AND p_actor <> 'user/' || v_row.user_id THEN v_row.user_id END,
            jsonb_build_object('changes', CASE WHEN v_made THEN player_changes_v1('{}', jsonb_strip_nulls(v_new))
                ELSE player_changes_v1(v_old, v_new) END)::text);
    END IF;
    RETURN jsonb_build_object('made', v_made, 'player', v_new || jsonb_build_object('board', p_board, 'player', p_player));
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION change_player_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION change_player_v1 TO board_admin;
