-- +goose Up

-- What lists of entries are filtered by, beside player, batch and time.
CREATE INDEX entries_kind ON entries (board, kind, occurred_at, id);
CREATE INDEX entries_actor ON entries (board, actor, occurred_at, id);
CREATE INDEX entries_reason ON entries (board, reason, occurred_at, id) WHERE reason IS NOT NULL;

-- A country's part of a table, where it is a small one.
CREATE INDEX players_country ON players (board, country) WHERE country IS NOT NULL;

CREATE INDEX periods_time ON periods (board, start_at, name);

-- Boards are found by how their id or their title begins, and by whom they
-- name. Most lists are of public boards.
CREATE INDEX boards_public ON boards (id) WHERE public AND state <> 'archived';
CREATE INDEX boards_public_title ON boards ((lower(title)) COLLATE "C", id) WHERE public AND state <> 'archived';
CREATE INDEX boards_title ON boards ((lower(title)) COLLATE "C", id) WHERE state <> 'archived';
CREATE INDEX boards_people ON boards USING gin ((owners || writers || viewers));

-- A place in a table, by the keys of standings. (Score, tiebreak, reached, '')
-- is before all who have these keys.
CREATE TYPE place_v1 AS (score bigint, tiebreak bigint, reached timestamptz, player text COLLATE "C");

-- How many stand in a table from one place up to before another. The table is
-- a period's, or where p_category is 1 to 4 that of those who have the value
-- in this category of the board. Every rank comes from here. One statement a
-- table, because each has its own index, in PL/pgSQL, which keeps their plans.
-- +goose StatementBegin
CREATE FUNCTION rank_between_v1(p_period bigint, p_category integer, p_value text, p_from place_v1, p_to place_v1) RETURNS bigint
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    CASE p_category
    WHEN 0 THEN RETURN (
        SELECT count(*) FROM standings WHERE period = p_period AND status = 'ranked'
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    WHEN 1 THEN RETURN (
        SELECT count(*) FROM standings WHERE period = p_period AND status = 'ranked' AND cat1 = p_value
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    WHEN 2 THEN RETURN (
        SELECT count(*) FROM standings WHERE period = p_period AND status = 'ranked' AND cat2 = p_value
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    WHEN 3 THEN RETURN (
        SELECT count(*) FROM standings WHERE period = p_period AND status = 'ranked' AND cat3 = p_value
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    WHEN 4 THEN RETURN (
        SELECT count(*) FROM standings WHERE period = p_period AND status = 'ranked' AND cat4 = p_value
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    END CASE;
END $$;
-- +goose StatementEnd

-- How many are before a place in a table: strictly better ones where its
-- player is '', else also those of the same keys that come before the player
-- on a page.
-- +goose StatementBegin
CREATE FUNCTION rank_above_v1(p_period bigint, p_category integer, p_value text, p_place place_v1) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT rank_between_v1(p_period, p_category, p_value,
        (-9223372036854775808, -9223372036854775808, '-infinity', '')::place_v1, p_place)
$$;
-- +goose StatementEnd

-- How many are ranked in a table.
-- +goose StatementBegin
CREATE FUNCTION rank_of_v1(p_period bigint, p_category integer DEFAULT 0, p_value text DEFAULT NULL) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT rank_above_v1(p_period, p_category, p_value,
        (9223372036854775807, 9223372036854775807, 'infinity', '')::place_v1)
$$;
-- +goose StatementEnd

-- Whether a run of a period is open, closed, or closing: closed for less than a
-- minute, when what was written before its end may not be there to be read.
-- The database's clock decides.
-- +goose StatementBegin
CREATE FUNCTION run_state_v1(p_end timestamptz, p_grace interval) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_since interval := CASE WHEN isfinite(p_end) THEN plaudit_now() - (p_end + p_grace) END;
BEGIN
    RETURN CASE WHEN v_since >= interval '1 minute' THEN 'closed' WHEN v_since >= interval '0' THEN 'closing' ELSE 'open' END;
END $$;
-- +goose StatementEnd

-- Waits for whoever wrote into runs of periods before they closed. A statement
-- that begins afterwards reads the tables as they stay. The lists go together.
-- +goose StatementBegin
CREATE FUNCTION settle_v1(p_boards text[], p_names text[], p_starts timestamptz[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(r.lock)
    FROM (
        SELECT run_lock_v1(b.no, i.name, i.start_at) AS lock
        FROM unnest(p_boards, p_names, p_starts) AS i (board, name, start_at)
        JOIN boards b ON b.id = i.board COLLATE "C"
        ORDER BY lock
        OFFSET 0
    ) r;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION rank_between_v1, rank_above_v1(bigint, integer, text, place_v1), rank_of_v1(bigint, integer, text), run_state_v1, settle_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rank_between_v1, rank_above_v1(bigint, integer, text, place_v1), rank_of_v1(bigint, integer, text), run_state_v1, settle_v1 TO score_query;
GRANT SELECT (id, board, player, kind, reason, actor, batch, occurred_at) ON entries TO score_query;
GRANT SELECT (title, public, state, owners, writers, viewers, grace) ON boards TO score_query;
