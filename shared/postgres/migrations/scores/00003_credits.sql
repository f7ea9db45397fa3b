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

-- What a player's credits in one run of a period make, of those that no
-- reversal cancelled; p_gone are entries that are just being reversed. n is how
-- many there are: without one there is no standing.
-- +goose StatementBegin
CREATE FUNCTION credits_left_v1(p_board integer, p_player text, p_period bigint, p_start timestamptz, p_end timestamptz,
    p_combine text, p_sign integer, p_gone uuid[])
RETURNS TABLE (n bigint, score bigint, tiebreak bigint, reached_at timestamptz, moved boolean)
LANGUAGE sql STABLE AS $$
    SELECT count(*),
        CASE WHEN p_combine = 'sum' THEN sum(c.points)::bigint ELSE (array_agg(c.points ORDER BY c.n1, c.n2, c.t1, c.t2 DESC, c.seq DESC))[1] END,
        CASE WHEN p_combine = 'sum' THEN sum(c.tiebreak)::bigint ELSE (array_agg(c.tiebreak ORDER BY c.n1, c.n2, c.t1, c.t2 DESC, c.seq DESC))[1] END,
        CASE WHEN p_combine <> 'sum' THEN (array_agg(c.occurred_at ORDER BY c.n1, c.n2, c.t1, c.t2 DESC, c.seq DESC))[1]
            ELSE coalesce(max(c.occurred_at) FILTER (WHERE c.moved), min(c.occurred_at)) END,
        CASE WHEN p_combine = 'sum' THEN bool_or(c.moved) ELSE (array_agg(c.moved ORDER BY c.n1, c.n2, c.t1, c.t2 DESC, c.seq DESC))[1] END
    FROM (
        SELECT e.points, e.tiebreak, e.occurred_at, e.seq, e.points <> 0 OR e.tiebreak <> 0 AS moved,
            CASE p_combine WHEN 'best' THEN p_sign * e.points END AS n1,
            CASE p_combine WHEN 'best' THEN p_sign * e.tiebreak END AS n2,
            CASE p_combine WHEN 'best' THEN e.occurred_at END AS t1,
            CASE p_combine WHEN 'last' THEN e.occurred_at END AS t2
        FROM entries e
        -- Rows, because no other index than entries_player serves them: with
        -- each column on its own a planner without statistics may take
        -- entries_board, and read all players.
        WHERE e.board = p_board AND e.player = p_player
          AND (e.player, e.occurred_at) >= (p_player, p_start) AND (e.player, e.occurred_at) < (p_player, p_end)
          AND e.kind <> 'reversal' AND p_period = ANY (e.periods)
          AND e.id <> ALL (p_gone)
          AND (SELECT r.id FROM entries r WHERE r.reverses = e.id AND p_period = ANY (r.periods)) IS NULL
    ) c
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION fold_v1, fold_all_v1(credit_v1, text, integer), credits_left_v1 FROM PUBLIC;
