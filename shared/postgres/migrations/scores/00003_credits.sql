-- +goose Up

-- A credit, and also what several of them make.
CREATE TYPE credit_v1 AS (score bigint, tiebreak bigint, reached_at timestamptz, moved boolean);

-- What a standing becomes by one more credit, which has the greater seq. Any
-- number of credits make the same in any order; credits_left_v1 makes it of
-- all at once.
-- +goose StatementBegin
CREATE FUNCTION fold_v1(a credit_v1, b credit_v1, p_combine text, p_sign integer) RETURNS credit_v1
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    CASE p_combine
    WHEN 'sum' THEN
        -- The latest that moved the score, else the earliest.
        IF a.moved = b.moved THEN
            a.reached_at := CASE WHEN a.moved THEN greatest(a.reached_at, b.reached_at) ELSE least(a.reached_at, b.reached_at) END;
        ELSIF b.moved THEN
            a.reached_at := b.reached_at;
        END IF;
        a.score := a.score + b.score;
        a.tiebreak := a.tiebreak + b.tiebreak;
        a.moved := a.moved OR b.moved;
        RETURN a;
    WHEN 'best' THEN
        IF (p_sign * b.score, p_sign * b.tiebreak, b.reached_at) < (p_sign * a.score, p_sign * a.tiebreak, a.reached_at) THEN
            RETURN b;
        END IF;
        RETURN a;
    WHEN 'last' THEN
        IF b.reached_at >= a.reached_at THEN
            RETURN b;
        END IF;
        RETURN a;
    END CASE;
END $$;
-- +goose StatementEnd

-- Strict: the first credit is taken as it is, without a call.
CREATE AGGREGATE fold_all_v1(credit credit_v1, p_combine text, p_sign integer) (SFUNC = fold_v1, STYPE = credit_v1);

-- A player's credits in one run of a period, without those that a reversal
-- cancelled and without p_gone, which are just being reversed.
--
-- Rows are compared, because no other index than entries_player serves them:
-- with each column on its own, or in the order of time alone, a planner without
-- statistics may take entries_board, and read all players. Who reads all of
-- them says player = p_player beside it, or else a planner with statistics
-- takes them for half of the table.
-- +goose StatementBegin
CREATE FUNCTION credits_v1(p_board integer, p_player text, p_period bigint, p_start timestamptz, p_end timestamptz, p_gone uuid[])
RETURNS SETOF entries
LANGUAGE sql STABLE AS $$
    SELECT e.*
    FROM entries e
    WHERE e.board = p_board AND (e.player, e.occurred_at) >= (p_player, p_start) AND (e.player, e.occurred_at) < (p_player, p_end)
      AND e.kind <> 'reversal' AND p_period = ANY (e.periods)
      AND e.id <> ALL (p_gone)
      AND (SELECT r.id FROM entries r WHERE r.reverses = e.id AND p_period = ANY (r.periods)) IS NULL
$$;
-- +goose StatementEnd

-- What these credits make; no row where there is none, and so no standing.
-- +goose StatementBegin
CREATE FUNCTION credits_left_v1(p_board integer, p_player text, p_period bigint, p_start timestamptz, p_end timestamptz,
    p_combine text, p_sign integer, p_gone uuid[])
RETURNS SETOF credit_v1
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_left   credit_v1;
    v_latest timestamptz;
BEGIN
    IF p_combine = 'best' THEN
        SELECT c.points, c.tiebreak, c.occurred_at, c.points <> 0 OR c.tiebreak <> 0 INTO v_left
        FROM credits_v1(p_board, p_player, p_period, p_start, p_end, p_gone) c
        WHERE c.player = p_player
        ORDER BY p_sign * c.points, p_sign * c.tiebreak, c.occurred_at, c.seq DESC
        LIMIT 1;
    ELSIF p_combine = 'last' THEN
        -- In two steps, because all would be read to be sorted by seq too.
        SELECT c.occurred_at INTO v_latest
        FROM credits_v1(p_board, p_player, p_period, p_start, p_end, p_gone) c
        ORDER BY c.player DESC, c.occurred_at DESC
        LIMIT 1;
        SELECT c.points, c.tiebreak, c.occurred_at, c.points <> 0 OR c.tiebreak <> 0 INTO v_left
        FROM credits_v1(p_board, p_player, p_period, v_latest, v_latest + interval '1 microsecond', p_gone) c
        ORDER BY c.seq DESC
        LIMIT 1;
    ELSE
        SELECT sum(c.points)::bigint, sum(c.tiebreak)::bigint,
            coalesce(max(c.occurred_at) FILTER (WHERE c.points <> 0 OR c.tiebreak <> 0), min(c.occurred_at)),
            bool_or(c.points <> 0 OR c.tiebreak <> 0)
        INTO v_left
        FROM credits_v1(p_board, p_player, p_period, p_start, p_end, p_gone) c
        WHERE c.player = p_player
        HAVING count(*) > 0;
    END IF;
    IF FOUND THEN
        RETURN NEXT v_left;
    END IF;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION fold_v1, fold_all_v1(credit_v1, text, integer), credits_v1, credits_left_v1 FROM PUBLIC;
