-- Recomputes the standings that lose the credits of reversed entries. It returns
-- whether a standing may break a limit afterwards, as internal.credit does. The
-- players are locked.
CREATE OR REPLACE FUNCTION internal.cancel_credits(p_items internal.item[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_beyond boolean;
BEGIN
    WITH less AS MATERIALIZED (
        SELECT t.run, t.player, t.sign, t.ties, t.floor, l.tally
        FROM (
            SELECT t.*, b.combine, b.ties, b.floor, internal.rank_sign(b) AS sign, r.start_at, r.end_at
            FROM (
                SELECT i.board, i.player, c.run, array_agg((i.sent).reverses) AS gone, sum(i.points)::bigint AS points, sum(i.tiebreak)::bigint AS tiebreak,
                    -- What counted towards a cap was no adjustment.
                    coalesce(sum(i.points) FILTER (WHERE i.counted_at IS NULL), 0)::bigint AS adj_points,
                    coalesce(sum(i.tiebreak) FILTER (WHERE i.counted_at IS NULL), 0)::bigint AS adj_tiebreak
                FROM unnest(p_items) i
                CROSS JOIN LATERAL unnest(i.runs) AS c (run)
                WHERE (i.sent).reverses IS NOT NULL
                GROUP BY i.board, i.player, c.run
            ) t
            JOIN boards b ON b.no = t.board
            JOIN runs r ON r.no = t.run
            OFFSET 0
        ) t
        CROSS JOIN LATERAL (
            -- A sum is subtracted from. Of its credits only as many are read as
            -- it takes to find when it was reached.
            SELECT CASE WHEN coalesce(c.latest, c.earliest) IS NULL THEN (NULL, NULL, NULL, false, 0, 0, NULL)::internal.tally
                ELSE (s.score + t.points, s.tiebreak + t.tiebreak, coalesce(c.latest, c.earliest), c.latest IS NOT NULL,
                    s.adj_score + t.adj_points, s.adj_tiebreak + t.adj_tiebreak, NULL)::internal.tally END AS tally
            FROM (
                SELECT c.latest, CASE WHEN c.latest IS NULL THEN (
                    SELECT c.occurred_at FROM internal.credits(t.board, t.player, t.run, t.start_at, t.end_at, t.gone) c
                    ORDER BY c.player, c.occurred_at
                    LIMIT 1) END AS earliest
                FROM (
                    SELECT (
                        SELECT c.occurred_at FROM internal.credits(t.board, t.player, t.run, t.start_at, t.end_at, t.gone) c
                        WHERE c.points <> 0 OR c.tiebreak <> 0
                        ORDER BY c.player DESC, c.occurred_at DESC
                        LIMIT 1) AS latest
                    OFFSET 0
                ) c
                OFFSET 0
            ) c
            CROSS JOIN LATERAL (
                SELECT s.score, s.tiebreak, s.adj_score, s.adj_tiebreak FROM standings s WHERE s.run = t.run AND s.player = t.player LIMIT 1) s
            WHERE t.combine = 'sum'
            UNION ALL
            SELECT internal.recombine(t.board, t.player, t.run, t.combine, t.sign, t.gone, '{}') AS tally
            WHERE t.combine <> 'sum'
        ) l
    ), without AS (
        DELETE FROM standings s
        USING less l
        WHERE s.run = l.run AND s.player = l.player AND (l.tally).score IS NULL
    ), written AS (
        UPDATE standings s
        SET score = (l.tally).score, tiebreak = (l.tally).tiebreak, reached_at = (l.tally).reached_at, nonzero = (l.tally).nonzero,
            adj_score = (l.tally).adj_score, adj_tiebreak = (l.tally).adj_tiebreak, result_at = (l.tally).result_at,
            key_score = l.sign * (l.tally).score, key_tiebreak = l.sign * (l.tally).tiebreak,
            key_reached = CASE l.ties WHEN 'first' THEN (l.tally).reached_at ELSE '-infinity' END
        FROM less l
        WHERE s.run = l.run AND s.player = l.player AND (l.tally).score IS NOT NULL
    )
    SELECT bool_or(NOT internal.in_bounds(l.tally) OR (l.tally).score < l.floor) INTO v_beyond FROM less l;
    RETURN coalesce(v_beyond, false);
END $$;
