-- Credits all items other than reversals to their players' standings. It returns
-- whether a standing is out of range afterwards; internal.check_ranges then finds
-- the item. The players are locked.
CREATE OR REPLACE FUNCTION internal.credit(p_items internal.item[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_beyond boolean;
BEGIN
    WITH written AS (
        INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, status, cat1, cat2, cat3, cat4,
            key_score, key_tiebreak, key_reached)
        SELECT n.run, n.player, (n.credit).score, (n.credit).tiebreak, (n.credit).reached_at, (n.credit).nonzero, n.status,
            n.attributes ->> n.categories[1], n.attributes ->> n.categories[2],
            n.attributes ->> n.categories[3], n.attributes ->> n.categories[4],
            n.sign * (n.credit).score, n.sign * (n.credit).tiebreak,
            CASE n.ties WHEN 'first' THEN (n.credit).reached_at ELSE '-infinity' END
        FROM (
            SELECT n.run, n.player, b.sign, b.ties, b.categories, n.status, n.attributes,
                internal.fold_all(o.credit, n.credits, b.combine, b.sign) AS credit
            FROM (
                SELECT c.run, i.board, i.player, i.status, i.attributes,
                    array_agg((i.points, i.tiebreak, (i.sent).occurred_at, i.points <> 0 OR i.tiebreak <> 0)::internal.credit ORDER BY i.item) AS credits
                FROM unnest(p_items) i
                CROSS JOIN LATERAL unnest(i.runs) AS c (run)
                WHERE (i.sent).reverses IS NULL
                GROUP BY c.run, i.board, i.player, i.status, i.attributes
            ) n
            CROSS JOIN LATERAL (
                SELECT b.combine, b.ties, b.categories, internal.rank_sign(b) AS sign FROM boards b WHERE b.no = n.board LIMIT 1) b
            LEFT JOIN LATERAL (
                SELECT (o.score, o.tiebreak, o.reached_at, o.nonzero)::internal.credit AS credit FROM standings o WHERE o.run = n.run AND o.player = n.player LIMIT 1) o ON true
            ORDER BY n.run, n.player -- the order in which all lock them
            OFFSET 0
        ) n
        ON CONFLICT (run, player) DO UPDATE SET
            score = excluded.score, tiebreak = excluded.tiebreak, reached_at = excluded.reached_at, nonzero = excluded.nonzero,
            status = excluded.status, cat1 = excluded.cat1, cat2 = excluded.cat2, cat3 = excluded.cat3, cat4 = excluded.cat4,
            key_score = excluded.key_score, key_tiebreak = excluded.key_tiebreak, key_reached = excluded.key_reached
        RETURNING score, tiebreak
    )
    SELECT bool_or(NOT internal.in_range(score) OR NOT internal.in_range(tiebreak)) INTO v_beyond FROM written;
    RETURN coalesce(v_beyond, false);
END $$;
