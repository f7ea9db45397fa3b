-- +goose Up

-- A player after a patch of display_name, country, user, status, note and
-- attributes. Attributes change one by one.
-- +goose StatementBegin
CREATE FUNCTION player_patch_v1(p_state jsonb, p_player jsonb, p_patch jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_old jsonb := coalesce(p_state, p_player);
    v_new jsonb := v_old || (p_patch - 'attributes');
BEGIN
    IF jsonb_typeof(p_patch -> 'attributes') = 'null' THEN
        RETURN v_new || '{"attributes": {}}';
    ELSIF p_patch ? 'attributes' THEN
        RETURN v_new || jsonb_build_object('attributes', jsonb_strip_nulls((v_old -> 'attributes') || (p_patch -> 'attributes')));
    END IF;
    RETURN v_new;
END $$;
-- +goose StatementEnd

CREATE AGGREGATE player_patch_all_v1(p_player jsonb, p_patch jsonb) (SFUNC = player_patch_v1, STYPE = jsonb);

-- A player as patches see it.
-- +goose StatementBegin
CREATE FUNCTION player_json_v1(p players) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('display_name', p.display_name, 'country', p.country, 'user', p.user_id,
        'status', p.status, 'note', p.note, 'attributes', p.attributes)
$$;
-- +goose StatementEnd

-- What differs, {field: {from, to}}. Of somebody with an account the name and
-- the country change without values: an erasure could not reach them in the
-- audit log.
-- +goose StatementBegin
CREATE FUNCTION player_changes_v1(p_old jsonb, p_new jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(n.key,
        CASE WHEN n.key IN ('display_name', 'country') AND coalesce(p_old ->> 'user', p_new ->> 'user') IS NOT NULL THEN '{}'
            ELSE jsonb_build_object('from', p_old -> n.key, 'to', n.value) END), '{}')
    FROM jsonb_each(p_new) n
    WHERE n.value IS DISTINCT FROM p_old -> n.key
$$;
-- +goose StatementEnd

-- Brings the copies in standings of periods that are still open up to date
-- with the players, whose rows are locked. Both lists go together.
-- +goose StatementBegin
CREATE FUNCTION follow_players_v1(p_boards integer[], p_players text[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    -- The inner queries stand alone (OFFSET 0), so that each table is probed by
    -- its whole key, and not by the board or the period first.
    UPDATE standings s
    SET status = n.status, cat1 = n.cat1, cat2 = n.cat2, cat3 = n.cat3, cat4 = n.cat4
    FROM (
        SELECT q.no AS period, p.id AS player, p.status, p.attributes ->> b.categories[1] AS cat1, p.attributes ->> b.categories[2] AS cat2,
            p.attributes ->> b.categories[3] AS cat3, p.attributes ->> b.categories[4] AS cat4
        FROM (
            SELECT p.board, p.id, p.status, p.attributes
            FROM unnest(p_boards, p_players) AS i (board, player)
            JOIN players p ON p.board = i.board AND p.id = i.player COLLATE "C"
            OFFSET 0
        ) p
        JOIN boards b ON b.no = p.board
        JOIN periods q ON q.board = p.board AND q.end_at > p_now - b.grace
        OFFSET 0
    ) n
    WHERE s.period = n.period AND s.player = n.player
      AND (s.status, s.cat1, s.cat2, s.cat3, s.cat4) IS DISTINCT FROM (n.status, n.cat1, n.cat2, n.cat3, n.cat4);
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION player_patch_v1, player_patch_all_v1(jsonb, jsonb), player_json_v1, player_changes_v1, follow_players_v1 FROM PUBLIC;
