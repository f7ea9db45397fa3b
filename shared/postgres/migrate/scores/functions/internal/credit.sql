-- Credits all items other than reversals to their players' standings. It returns
-- whether a standing may break a limit afterwards; internal.check_ranges and
-- internal.check_floors then find the item. The players are locked.
CREATE OR REPLACE FUNCTION internal.credit(p_items internal.item[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_beyond boolean;
BEGIN
    WITH computed AS MATERIALIZED (
        SELECT n.run, n.player, n.status, n.attributes, b.categories, b.sign, b.ties, b.floor,
            coalesce(
                -- Without a standing there may still be adjustments, for which a
                -- result was missing.
                CASE WHEN o.found OR b.combine = 'sum' OR (
                        SELECT e.id FROM entries e
                        WHERE e.board = n.board AND e.player = n.player AND e.kind = 'adjustment' AND n.run = ANY (e.runs)
                        LIMIT 1) IS NULL
                    THEN internal.fold_all(o.tally, n.more, b.combine, b.sign) END,
                internal.recombine(n.board, n.player, n.run, b.combine, b.sign, coalesce(n.gone, '{}'), n.more)) AS tally
        FROM (
            SELECT c.run, i.board, i.player, min(i.status) AS status, (array_agg(i.attributes))[1] AS attributes,
                array_agg((i.points, i.tiebreak, (i.sent).occurred_at, i.kind = 'adjustment')::internal.contribution ORDER BY (i.sent).occurred_at, i.item)
                    FILTER (WHERE (i.sent).reverses IS NULL) AS more,
                array_agg((i.sent).reverses) FILTER (WHERE (i.sent).reverses IS NOT NULL) AS gone
            FROM unnest(p_items) i
            CROSS JOIN LATERAL unnest(i.runs) AS c (run)
            GROUP BY c.run, i.board, i.player
        ) n
        CROSS JOIN LATERAL (
            SELECT b.combine, b.ties, b.categories, b.floor, internal.rank_sign(b) AS sign FROM boards b WHERE b.no = n.board LIMIT 1) b
        LEFT JOIN LATERAL (
            SELECT true AS found, (o.score, o.tiebreak, o.reached_at, o.nonzero, o.adj_score, o.adj_tiebreak, o.result_at)::internal.tally AS tally
            FROM standings o
            WHERE o.run = n.run AND o.player = n.player
            LIMIT 1) o ON true
        WHERE n.more IS NOT NULL
        ORDER BY n.run, n.player -- the order in which all lock them
    ), written AS (
        INSERT INTO standings (run, player, score, tiebreak, reached_at, nonzero, adj_score, adj_tiebreak, result_at,
            status, cat1, cat2, cat3, cat4, key_score, key_tiebreak, key_reached)
        SELECT n.run, n.player, (n.tally).score, (n.tally).tiebreak, (n.tally).reached_at, (n.tally).nonzero,
            (n.tally).adj_score, (n.tally).adj_tiebreak, (n.tally).result_at, n.status,
            n.attributes ->> n.categories[1], n.attributes ->> n.categories[2],
            n.attributes ->> n.categories[3], n.attributes ->> n.categories[4],
            n.sign * (n.tally).score, n.sign * (n.tally).tiebreak,
            CASE n.ties WHEN 'first' THEN (n.tally).reached_at ELSE '-infinity' END
        FROM computed n
        WHERE (n.tally).score IS NOT NULL
        ON CONFLICT (player, run) DO UPDATE SET
            score = excluded.score, tiebreak = excluded.tiebreak, reached_at = excluded.reached_at, nonzero = excluded.nonzero,
            adj_score = excluded.adj_score, adj_tiebreak = excluded.adj_tiebreak, result_at = excluded.result_at,
            status = excluded.status, cat1 = excluded.cat1, cat2 = excluded.cat2, cat3 = excluded.cat3, cat4 = excluded.cat4,
            key_score = excluded.key_score, key_tiebreak = excluded.key_tiebreak, key_reached = excluded.key_reached
    )
    SELECT bool_or(NOT internal.in_bounds(n.tally) OR (n.tally).score < n.floor) INTO v_beyond FROM computed n;
    RETURN coalesce(v_beyond, false);
END $$;
