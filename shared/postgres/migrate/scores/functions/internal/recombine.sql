-- Returns what a player's contributions in one run combine to: those of the ledger
-- (internal.credits) without p_gone, which are being reversed now, and with p_more,
-- which are being added. Score is null if that is no standing. internal.fold adds
-- one contribution to a standing by the same rules.
--
-- Walked in the order in which they occurred, of equal instants by seq:
--
--	sum   every contribution adds
--	best  the best result so far, plus all adjustments so far
--	last  a result replaces the score, an adjustment adds to it; one before the
--	      first result is ignored and does not count
--
-- reached_at is when the score last changed.
CREATE OR REPLACE FUNCTION internal.recombine(p_board integer, p_player text, p_run bigint, p_combine text, p_sign integer, p_gone uuid[],
    p_more internal.contribution[])
RETURNS internal.tally
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_start timestamptz;
    v_end   timestamptz;
    v_tally internal.tally;
BEGIN
    SELECT r.start_at, r.end_at INTO STRICT v_start, v_end FROM runs r WHERE r.no = p_run;
    IF p_combine = 'last' THEN
        RETURN internal.recombine_last(p_board, p_player, p_run, v_start, v_end, p_gone, p_more);
    END IF;
    WITH c AS MATERIALIZED (
        SELECT c.points, c.tiebreak, c.occurred_at, c.kind = 'adjustment' AS adjustment, c.points <> 0 OR c.tiebreak <> 0 AS nonzero
        FROM internal.credits(p_board, p_player, p_run, v_start, v_end, p_gone) c
        WHERE c.player = p_player
        UNION ALL
        SELECT m.points, m.tiebreak, m.occurred_at, m.adjustment, m.points <> 0 OR m.tiebreak <> 0
        FROM unnest(p_more) m
    ), best AS (
        SELECT c.points, c.tiebreak, c.occurred_at
        FROM c
        WHERE NOT c.adjustment
        ORDER BY p_sign * c.points, p_sign * c.tiebreak, c.occurred_at
        LIMIT 1
    )
    SELECT internal.clamp(CASE p_combine WHEN 'sum' THEN a.points ELSE b.points + a.adj_points END),
        internal.clamp(CASE p_combine WHEN 'sum' THEN a.tiebreak ELSE b.tiebreak + a.adj_tiebreak END),
        CASE p_combine WHEN 'sum' THEN coalesce(a.latest, a.earliest) ELSE greatest(b.occurred_at, a.adjusted) END,
        coalesce(CASE p_combine WHEN 'sum' THEN a.latest IS NOT NULL ELSE a.adj_nonzero END, false),
        internal.clamp(a.adj_points), internal.clamp(a.adj_tiebreak), NULL
    INTO v_tally
    FROM (
        SELECT sum(c.points) AS points, sum(c.tiebreak) AS tiebreak, max(c.occurred_at) FILTER (WHERE c.nonzero) AS latest, min(c.occurred_at) AS earliest,
            coalesce(sum(c.points) FILTER (WHERE c.adjustment), 0) AS adj_points, coalesce(sum(c.tiebreak) FILTER (WHERE c.adjustment), 0) AS adj_tiebreak,
            bool_or(c.adjustment AND c.nonzero) AS adj_nonzero,
            -- One before the first result changes no score, and is earlier than the best.
            max(c.occurred_at) FILTER (WHERE c.adjustment AND c.nonzero) AS adjusted
        FROM c
    ) a
    LEFT JOIN best b ON true;
    RETURN v_tally;
END $$;
