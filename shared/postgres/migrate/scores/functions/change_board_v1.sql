-- Writes a changed board and its event if the board still has p_board's version,
-- and returns {board, wake}, the board as it is afterwards and whether the caller must
-- wake the relay. If it wrote nothing, the
-- result contains the reason: stale, the version has changed; has_entries, although
-- p_no_entries requires that it has none; has_players, although its players were to
-- become registered ones. Nobody adds to the board while it runs, so that a draft
-- that is opened has all its entries when its past runs close.
CREATE OR REPLACE FUNCTION change_board_v1(p_board jsonb, p_changes jsonb, p_no_entries boolean, p_actor text, p_traceparent text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off -- to look for one entry of the board without reading those of others
AS $$
DECLARE
    v_new boards := jsonb_populate_record(NULL::boards, p_board);
    v_old boards;
    v_row boards;
BEGIN
    PERFORM pg_advisory_xact_lock(internal.board_lock(v_new.id));
    SELECT * INTO STRICT v_old FROM boards WHERE id = v_new.id;
    IF v_old.version <> v_new.version THEN
        RETURN jsonb_build_object('board', internal.board_json(v_old), 'stale', true);
    END IF;
    IF p_no_entries AND EXISTS (SELECT FROM entries WHERE board = v_old.no) THEN
        RETURN jsonb_build_object('board', internal.board_json(v_old), 'has_entries', true);
    END IF;
    -- On such a board a player's id is a user's id. An existing player may belong
    -- to somebody else.
    IF v_new.players = 'registered' AND v_old.players <> 'registered' AND EXISTS (SELECT FROM players WHERE board = v_old.no) THEN
        RETURN jsonb_build_object('board', internal.board_json(v_old), 'has_players', true);
    END IF;
    UPDATE boards b SET
        title = v_new.title, combine = v_new.combine, "order" = v_new."order", ties = v_new.ties,
        periods = v_new.periods, categories = v_new.categories, time_zone = v_new.time_zone,
        catalogue = nullif(v_new.catalogue, 'null'), min = v_new.min, max = v_new.max, daily_cap = v_new.daily_cap,
        -- The previous release does not know floors.
        floor = CASE WHEN p_board ? 'floor' THEN v_new.floor ELSE b.floor END,
        decimals = v_new.decimals, unit = v_new.unit, grace = v_new.grace, players = v_new.players,
        public = v_new.public, owners = v_new.owners, writers = v_new.writers, viewers = v_new.viewers,
        state = v_new.state, version = b.version + 1,
        -- By the clock alone, so that what is past closes at once.
        opened_at = CASE WHEN v_new.state <> 'draft' THEN coalesce(b.opened_at, plaudit_now()) END,
        changed_at = greatest(plaudit_now(), b.changed_at + interval '1 microsecond'), events = b.events + 1
    WHERE b.no = v_old.no
    RETURNING * INTO v_row;
    IF v_row.categories <> v_old.categories THEN
        -- The board has no entries, so there are no standings that copy them too.
        UPDATE players p SET
            cat1 = p.attributes ->> v_row.categories[1], cat2 = p.attributes ->> v_row.categories[2],
            cat3 = p.attributes ->> v_row.categories[3], cat4 = p.attributes ->> v_row.categories[4]
        WHERE p.board = v_row.no AND p.attributes <> '{}';
    END IF;
    PERFORM internal.report_board('plaudit.board.updated', v_row, p_actor, NULL,
        jsonb_build_object('version', v_row.version, 'owners', v_row.owners, 'changes', p_changes), p_traceparent);
    RETURN jsonb_build_object('board', internal.board_json(v_row), 'wake', internal.wake());
END $$;

REVOKE ALL ON FUNCTION change_board_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION change_board_v1 TO board_admin;
