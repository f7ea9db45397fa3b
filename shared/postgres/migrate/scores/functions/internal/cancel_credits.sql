-- Recomputes the standings that lose the credits of reversed entries. The
-- players are locked.
CREATE OR REPLACE FUNCTION internal.cancel_credits(p_items internal.item[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    WITH less AS MATERIALIZED (
        SELECT t.run, t.player, l.*, t.sign, t.ties
        FROM (
            SELECT t.*, b.combine, b.ties, internal.rank_sign(b) AS sign, r.start_at, r.end_at
            FROM (
                SELECT i.board, i.player, c.run, array_agg((i.sent).reverses) AS gone, sum(i.points)::bigint AS points, sum(i.tiebreak)::bigint AS tiebreak
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
            SELECT s.score, s.tiebreak FROM standings s WHERE s.run = t.run AND s.player = t.player LIMIT 1) s
        LEFT JOIN LATERAL (
            -- A sum is subtracted from. Of its credits only as many are read as
            -- it takes to find when it was reached.
            SELECT s.score + t.points AS score, s.tiebreak + t.tiebreak AS tiebreak, coalesce(c.latest, c.earliest) AS reached_at,
                c.latest IS NOT NULL AS nonzero
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
                WHERE t.combine = 'sum'
                OFFSET 0
            ) c
            WHERE coalesce(c.latest, c.earliest) IS NOT NULL
            UNION ALL
            SELECT c.*
            FROM internal.recombine(t.board, t.player, t.run, t.start_at, t.end_at, t.combine, t.sign, t.gone) c
            WHERE t.combine <> 'sum'
        ) l ON true
    ), without AS (
        DELETE FROM standings s
        USING less l
        WHERE s.run = l.run AND s.player = l.player AND l.score IS NULL
    )
    UPDATE standings s
    SET score = l.score, tiebreak = l.tiebreak, reached_at = l.reached_at, nonzero = l.nonzero, key_score = l.sign * l.score,
        key_tiebreak = l.sign * l.tiebreak, key_reached = CASE l.ties WHEN 'first' THEN l.reached_at ELSE '-infinity' END
    FROM less l
    WHERE s.run = l.run AND s.player = l.player AND l.score IS NOT NULL;
END $$;
