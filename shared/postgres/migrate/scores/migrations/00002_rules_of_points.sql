-- +goose Up

-- A floor under what a player may spend, and drafts: until a board is opened,
-- opened_at is null and none of its runs closes.
ALTER TABLE boards
    ADD COLUMN floor bigint CHECK (floor <= 0), -- of the score of the period `all`; null: none
    ADD COLUMN opened_at timestamptz,           -- null: the board is a draft
    DROP CONSTRAINT boards_state_check;
UPDATE boards SET opened_at = created_at;
ALTER TABLE boards ADD CONSTRAINT boards_state_check CHECK (state IN ('draft', 'open', 'closed', 'archived'));

-- The lists of what everybody may read have no drafts.
DROP INDEX boards_public, boards_public_title;
CREATE INDEX boards_public ON boards (id) WHERE public AND state IN ('open', 'closed');
CREATE INDEX boards_public_title ON boards ((lower(title)) COLLATE "C", id) WHERE public AND state IN ('open', 'closed');

-- What an add must know of the credits in a standing to add one more without
-- reading them: internal.fold.
ALTER TABLE standings
    ADD COLUMN adj_score    bigint NOT NULL DEFAULT 0, -- the adjustments that count in it
    ADD COLUMN adj_tiebreak bigint NOT NULL DEFAULT 0,
    ADD COLUMN result_at    timestamptz,               -- on `last`: when its result occurred
    -- A lookup always has run and player. In this order it also finds the
    -- standings of a player.
    DROP CONSTRAINT standings_pkey,
    ADD PRIMARY KEY (player, run);

-- Adjustments are few, so that their sum is found without reading the results.
CREATE INDEX entries_adjustments ON entries (board, player, occurred_at) WHERE kind = 'adjustment';

-- What one entry adds to a standing. In a list, they are in the order in which they
-- occurred, of equal instants in that of their seq.
CREATE TYPE internal.contribution AS (points bigint, tiebreak bigint, occurred_at timestamptz, adjustment boolean);

-- What contributions combine to; the fields are those of standings. Without a
-- standing score is null. nonzero: on `sum`, a contribution other than 0 is in it; on
-- `best`, an adjustment other than 0; on `last` it is false.
CREATE TYPE internal.tally AS (
    score        bigint,
    tiebreak     bigint,
    reached_at   timestamptz,
    nonzero      boolean,
    adj_score    bigint,
    adj_tiebreak bigint,
    result_at    timestamptz
);

-- Adjustments were not relative to the score on `best` and `last`, and a repeated
-- score moved reached_at. Brings all standings to the rules of internal.recombine.
WITH credit AS (
    SELECT s.run, s.player, b.combine, CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END AS sign, e.points, e.tiebreak, e.occurred_at, e.seq,
        e.kind = 'adjustment' AS adjustment, e.points <> 0 OR e.tiebreak <> 0 AS nonzero
    FROM standings s
    JOIN runs r ON r.no = s.run
    JOIN boards b ON b.no = r.board
    JOIN entries e ON e.board = b.no AND e.player = s.player AND s.run = ANY (e.runs)
    WHERE e.kind <> 'reversal' AND NOT EXISTS (SELECT FROM entries x WHERE x.reverses = e.id AND s.run = ANY (x.runs))
), walked AS (
    -- results: how many results have occurred so far. On `last` each of them
    -- replaces the score and the adjustments after it are added to it.
    SELECT c.*, count(*) FILTER (WHERE NOT adjustment) OVER w AS results
    FROM credit c
    WINDOW w AS (PARTITION BY run, player ORDER BY occurred_at, seq)
), scored AS (
    SELECT w.*, sum(points) OVER g AS last_score, sum(tiebreak) OVER g AS last_tiebreak
    FROM walked w
    WINDOW g AS (PARTITION BY run, player, results ORDER BY occurred_at, seq)
), moved AS (
    SELECT s.*, (last_score, last_tiebreak) IS DISTINCT FROM (lag(last_score) OVER w, lag(last_tiebreak) OVER w) AS last_moved
    FROM scored s
    WHERE combine <> 'last' OR results > 0
    WINDOW w AS (PARTITION BY run, player ORDER BY occurred_at, seq)
), result AS (
    SELECT DISTINCT ON (run, player) run, player, points, tiebreak, occurred_at
    FROM credit
    WHERE combine = 'best' AND NOT adjustment
    ORDER BY run, player, sign * points, sign * tiebreak, occurred_at
), tally AS (
    SELECT m.run, m.player, m.combine, m.sign,
        CASE m.combine
            WHEN 'sum' THEN sum(m.points)
            WHEN 'best' THEN min(r.points) + coalesce(sum(m.points) FILTER (WHERE m.adjustment), 0)
            ELSE (array_agg(m.last_score ORDER BY m.occurred_at DESC, m.seq DESC))[1] END AS score,
        CASE m.combine
            WHEN 'sum' THEN sum(m.tiebreak)
            WHEN 'best' THEN min(r.tiebreak) + coalesce(sum(m.tiebreak) FILTER (WHERE m.adjustment), 0)
            ELSE (array_agg(m.last_tiebreak ORDER BY m.occurred_at DESC, m.seq DESC))[1] END AS tiebreak,
        CASE m.combine
            WHEN 'sum' THEN coalesce(max(m.occurred_at) FILTER (WHERE m.nonzero), min(m.occurred_at))
            WHEN 'best' THEN greatest(min(r.occurred_at), max(m.occurred_at) FILTER (WHERE m.adjustment AND m.nonzero AND m.results > 0))
            ELSE max(m.occurred_at) FILTER (WHERE m.last_moved) END AS reached_at,
        CASE m.combine
            WHEN 'sum' THEN bool_or(m.nonzero)
            WHEN 'best' THEN bool_or(m.nonzero AND m.adjustment)
            ELSE false END AS nonzero,
        coalesce(sum(m.points) FILTER (WHERE m.adjustment), 0) AS adj_score,
        coalesce(sum(m.tiebreak) FILTER (WHERE m.adjustment), 0) AS adj_tiebreak,
        CASE m.combine WHEN 'last' THEN max(m.occurred_at) FILTER (WHERE NOT m.adjustment) END AS result_at
    FROM moved m
    LEFT JOIN result r ON r.run = m.run AND r.player = m.player
    GROUP BY m.run, m.player, m.combine, m.sign
), without AS (
    DELETE FROM standings s
    WHERE NOT EXISTS (SELECT FROM tally t WHERE t.run = s.run AND t.player = s.player AND t.score IS NOT NULL)
)
UPDATE standings s
SET score = t.score, tiebreak = t.tiebreak, reached_at = t.reached_at, nonzero = t.nonzero, adj_score = t.adj_score, adj_tiebreak = t.adj_tiebreak,
    result_at = t.result_at, key_score = t.sign * t.score, key_tiebreak = t.sign * t.tiebreak,
    key_reached = CASE WHEN isfinite(s.key_reached) THEN t.reached_at ELSE '-infinity' END
FROM tally t
WHERE s.run = t.run AND s.player = t.player AND t.score IS NOT NULL;
