-- Erases the players of an erased user: those whose link the user accepted, and on boards
-- of registered players the one with the user's id. Then it withdraws the proposals that
-- the user has not accepted, without a change of their players, and forgets which players
-- the user refused to be. That is no event, because the erasure of the user is one.
--
-- It works in steps, because a user can have many players, and these many entries. A call
-- erases one player, or clears the metadata of at most p_limit entries. It returns the
-- place where the next call goes on, null at the end; the first call begins with null.
-- All of it can be repeated.
CREATE OR REPLACE FUNCTION internal.erase_user_players(p_user text, p_place jsonb, p_limit integer, p_actor text, p_traceparent text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_done   integer := coalesce((p_place ->> 'board')::integer, 0); -- the board of the player with the user's id that was erased last
    v_linked boolean;
    v_no     integer;
    v_player text;
    v_board  boards;
    v_step   jsonb;
    v_open   bigint;
BEGIN
    -- A player who is erased has no link any more.
    SELECT p.board, p.id INTO v_no, v_player FROM players p WHERE p.user_id = p_user ORDER BY p.board, p.id LIMIT 1;
    v_linked := FOUND;
    IF NOT v_linked THEN
        SELECT p.board, p.id INTO v_no, v_player
        FROM players p
        CROSS JOIN LATERAL (SELECT b.players FROM boards b WHERE b.no = p.board LIMIT 1) b
        WHERE length(p.id) = 36 AND p.id = p_user AND p.board > v_done AND b.players = 'registered'
        ORDER BY p.board
        LIMIT 1;
    END IF;
    IF v_no IS NOT NULL THEN
        SELECT b.* INTO STRICT v_board FROM boards b WHERE b.no = v_no;
        PERFORM pg_advisory_xact_lock_shared(internal.board_lock(v_board.id));
        SELECT b.* INTO STRICT v_board FROM boards b WHERE b.no = v_no;
        v_step := internal.erase_player(v_board, v_player, p_user, (p_place ->> 'after')::uuid, p_limit, p_actor, p_user, p_traceparent); -- nobody is left to be told
        IF v_step -> 'more' = 'true' THEN
            RETURN jsonb_build_object('board', v_done, 'after', v_step -> 'after');
        END IF;
        RETURN jsonb_build_object('board', CASE WHEN v_linked THEN v_done ELSE v_no END);
    END IF;

    UPDATE players p
    SET proposed_user = NULL, proposed_by = NULL, proposed_at = NULL, link_state = NULL
    FROM (SELECT o.board, o.id FROM players o WHERE o.proposed_user = p_user ORDER BY o.board, o.id LIMIT p_limit FOR UPDATE) o
    WHERE p.board = o.board AND p.id = o.id;
    GET DIAGNOSTICS v_open = ROW_COUNT;
    IF v_open = p_limit THEN
        RETURN jsonb_build_object('board', v_done);
    END IF;
    DELETE FROM link_refusals WHERE user_id = p_user;
    DELETE FROM link_proposals WHERE user_id = p_user;
    RETURN NULL;
END $$;
