-- +goose Up

-- The advisory lock of a board: adds share it, a change of the board and the
-- closing of a period have it alone. It is on the id, because a lock that is
-- found by a row is taken after the row was read.
-- +goose StatementBegin
CREATE FUNCTION board_lock_v1(p_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended('board/' || p_id, 0) $$;
-- +goose StatementEnd

-- The advisory lock of a run of a period that is about to close. Whoever may
-- write into it shares the lock, from before they ask the clock whether it is
-- open until they have committed. Whoever reads it just after it closed waits
-- for them (settle_v1), so that a table that was seen closed never changes.
-- +goose StatementBegin
CREATE FUNCTION run_lock_v1(p_board integer, p_name text, p_start timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended('run/' || p_board || '/' || p_name || '/' || extract(epoch FROM p_start), 0) $$;
-- +goose StatementEnd

-- Shares the locks of the boards' runs that close within a minute, which is
-- longer than any writer takes.
-- +goose StatementBegin
CREATE FUNCTION share_closing_v1(p_boards integer[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
AS $$
DECLARE
    v_now timestamptz := plaudit_now();
BEGIN
    PERFORM pg_advisory_xact_lock_shared(r.lock)
    FROM (
        SELECT run_lock_v1(q.board, q.name, q.start_at) AS lock
        FROM unnest(p_boards) AS i (board)
        JOIN boards b ON b.no = i.board
        JOIN periods q ON q.board = b.no AND q.end_at > v_now - b.grace AND q.end_at <= v_now - b.grace + interval '1 minute'
        ORDER BY lock
        OFFSET 0
    ) r;
END $$;
-- +goose StatementEnd

-- A board as the API shows it, but for grace, which is in seconds.
-- +goose StatementBegin
CREATE FUNCTION board_json_v1(b boards) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(b) || jsonb_build_object('grace', extract(epoch FROM b.grace)::bigint || 's')
$$;
-- +goose StatementEnd

-- The board, or null. PL/pgSQL, because a session keeps its plans and those of
-- no SQL function.
-- +goose StatementBegin
CREATE FUNCTION board_v1(p_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN (SELECT board_json_v1(b) FROM boards b WHERE b.id = p_id);
END $$;
-- +goose StatementEnd

-- Whether a player of the board belongs to the user.
-- +goose StatementBegin
CREATE FUNCTION linked_v1(p_board text, p_user text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM players p JOIN boards b ON b.no = p.board WHERE p.user_id = p_user AND b.id = p_board);
END $$;
-- +goose StatementEnd

-- Writes a board and its event. Null where the id is taken.
-- +goose StatementBegin
CREATE FUNCTION create_board_v1(p_board jsonb, p_actor text, p_traceparent text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_now timestamptz := plaudit_now();
    v_new boards := jsonb_populate_record(NULL::boards, p_board);
    v_doc jsonb;
BEGIN
    INSERT INTO boards AS b (id, title, combine, "order", ties, periods, categories, time_zone, catalogue, min, max,
        daily_cap, decimals, unit, grace, players, public, owners, writers, viewers, state, version, created_at, changed_at)
    VALUES (v_new.id, v_new.title, v_new.combine, v_new."order", v_new.ties, v_new.periods, v_new.categories,
        v_new.time_zone, nullif(v_new.catalogue, 'null'), v_new.min, v_new.max, v_new.daily_cap, v_new.decimals, v_new.unit,
        v_new.grace, v_new.players, v_new.public, v_new.owners, v_new.writers, v_new.viewers, v_new.state, 1, v_now, v_now)
    ON CONFLICT (id) DO NOTHING
    RETURNING board_json_v1(b) INTO v_doc;
    IF v_doc IS NULL THEN
        RETURN NULL;
    END IF;
    -- p_board is what the client was told, in the API's words.
    INSERT INTO outbox (type, recordedtime, traceparent, subject, actor, data)
    VALUES ('plaudit.board.created', v_now, p_traceparent, 'board/' || v_new.id, p_actor,
        (p_board || jsonb_build_object('created_at', v_doc -> 'created_at'))::text);
    RETURN v_doc;
END $$;
-- +goose StatementEnd

-- Writes a changed board and its event where its version is still p_board's,
-- and answers {board, stale, used, peopled}. While it runs nobody adds to the
-- board.
-- +goose StatementBegin
CREATE FUNCTION change_board_v1(p_board jsonb, p_changes jsonb, p_unused boolean, p_actor text, p_traceparent text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off -- to find no entry among those of other boards
AS $$
DECLARE
    v_new boards := jsonb_populate_record(NULL::boards, p_board);
    v_old boards;
    v_row boards;
BEGIN
    PERFORM pg_advisory_xact_lock(board_lock_v1(v_new.id));
    SELECT * INTO STRICT v_old FROM boards WHERE id = v_new.id;
    IF v_old.version <> v_new.version THEN
        RETURN jsonb_build_object('board', board_json_v1(v_old), 'stale', true);
    END IF;
    IF p_unused AND EXISTS (SELECT FROM entries WHERE board = v_old.no) THEN
        RETURN jsonb_build_object('board', board_json_v1(v_old), 'used', true);
    END IF;
    -- Players made before may belong to somebody else than their id says.
    IF v_new.players = 'registered' AND v_old.players <> 'registered' AND EXISTS (SELECT FROM players WHERE board = v_old.no) THEN
        RETURN jsonb_build_object('board', board_json_v1(v_old), 'peopled', true);
    END IF;
    UPDATE boards b SET
        title = v_new.title, combine = v_new.combine, "order" = v_new."order", ties = v_new.ties,
        periods = v_new.periods, categories = v_new.categories, time_zone = v_new.time_zone,
        catalogue = nullif(v_new.catalogue, 'null'), min = v_new.min, max = v_new.max, daily_cap = v_new.daily_cap,
        decimals = v_new.decimals, unit = v_new.unit, grace = v_new.grace, players = v_new.players,
        public = v_new.public, owners = v_new.owners, writers = v_new.writers, viewers = v_new.viewers,
        state = v_new.state, version = b.version + 1,
        changed_at = greatest(plaudit_now(), b.changed_at + interval '1 microsecond')
    WHERE b.no = v_old.no
    RETURNING * INTO v_row;
    INSERT INTO outbox (type, recordedtime, traceparent, subject, actor, data)
    VALUES ('plaudit.board.updated', v_row.changed_at, p_traceparent, 'board/' || v_row.id, p_actor,
        jsonb_build_object('version', v_row.version, 'owners', v_row.owners, 'changes', p_changes)::text);
    RETURN jsonb_build_object('board', board_json_v1(v_row));
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION plaudit_now(), board_lock_v1, run_lock_v1, share_closing_v1, board_json_v1, board_v1, linked_v1, create_board_v1, change_board_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION board_v1, linked_v1 TO score_add, score_query, board_admin;
GRANT EXECUTE ON FUNCTION create_board_v1, change_board_v1 TO board_admin;
