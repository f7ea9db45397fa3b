-- Writes a board and its event for the user who creates it, and returns {board, wake}:
-- whether the caller must wake the relay. If it wrote no board, the result contains the reason: wait, the seconds until the user may
-- try again, after p_refusals attempts in the last hour with ids that are taken (null:
-- any number, and none is counted); full, the user has created p_boards boards (null: any
-- number); taken, the id is, which counts as such an attempt. The first two do not depend
-- on the id.
CREATE OR REPLACE FUNCTION create_board_v2(p_board jsonb, p_user text, p_boards integer, p_refusals integer, p_actor text, p_traceparent text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_hour CONSTANT interval := '1 hour';
    v_now  timestamptz;
    v_at   timestamptz;
    v_doc  jsonb;
BEGIN
    -- One at a time for each user, so that many at once do not exceed a limit.
    PERFORM pg_advisory_xact_lock(internal.user_lock(p_user));
    v_now := plaudit_now();
    IF p_refusals IS NOT NULL THEN
        SELECT r.at INTO v_at
        FROM board_refusals r
        WHERE r.user_id = p_user AND r.at > v_now - v_hour
        ORDER BY r.at DESC OFFSET p_refusals - 1 LIMIT 1;
    END IF;
    IF v_at IS NOT NULL THEN
        RETURN jsonb_build_object('wait', extract(epoch FROM v_at + v_hour - v_now));
    END IF;
    IF (SELECT count(*) FROM (SELECT FROM boards b WHERE b.created_by = p_user LIMIT p_boards) b) >= p_boards THEN
        RETURN jsonb_build_object('full', true);
    END IF;
    v_doc := internal.create_board(p_board, p_user, p_actor, p_traceparent);
    IF v_doc IS NOT NULL THEN
        RETURN jsonb_build_object('board', v_doc, 'wake', internal.wake());
    END IF;
    IF p_refusals IS NULL THEN
        RETURN jsonb_build_object('taken', true);
    END IF;
    INSERT INTO board_refusals (user_id, at) VALUES (p_user, v_now);
    -- More than are written, so that the table holds the last hour and little else.
    DELETE FROM board_refusals
    WHERE id = ANY (ARRAY(SELECT o.id FROM board_refusals o WHERE o.at <= v_now - v_hour ORDER BY o.at LIMIT 100 FOR UPDATE SKIP LOCKED));
    RETURN jsonb_build_object('taken', true);
END $$;

REVOKE ALL ON FUNCTION create_board_v2 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_board_v2 TO board_admin;
