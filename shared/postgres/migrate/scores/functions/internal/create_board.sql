-- Writes a board and its event, and returns the board; null if the id is taken.
-- p_board is the board in the API's words, p_user the user who creates it.
CREATE OR REPLACE FUNCTION internal.create_board(p_board jsonb, p_user text, p_actor text, p_traceparent text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz := plaudit_now();
    v_new boards := jsonb_populate_record(NULL::boards, p_board);
    v_row boards;
BEGIN
    INSERT INTO boards AS b (id, title, combine, "order", ties, periods, categories, time_zone, catalogue, min, max,
        daily_cap, floor, decimals, unit, grace, players, public, owners, writers, viewers, state, version, created_by, opened_at, created_at, changed_at, events)
    VALUES (v_new.id, v_new.title, v_new.combine, v_new."order", v_new.ties, v_new.periods, v_new.categories,
        v_new.time_zone, nullif(v_new.catalogue, 'null'), v_new.min, v_new.max, v_new.daily_cap, v_new.floor, v_new.decimals, v_new.unit,
        v_new.grace, v_new.players, v_new.public, v_new.owners, v_new.writers, v_new.viewers, v_new.state, 1, p_user,
        CASE WHEN v_new.state <> 'draft' THEN v_now END, v_now, v_now, 1)
    ON CONFLICT (id) DO NOTHING
    RETURNING b.* INTO v_row;
    IF v_row.no IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM internal.report_board('plaudit.board.created', v_row, p_actor, NULL,
        p_board || jsonb_build_object('created_at', v_row.created_at, 'opened_at', v_row.opened_at), p_traceparent);
    RETURN internal.board_json(v_row);
END $$;
