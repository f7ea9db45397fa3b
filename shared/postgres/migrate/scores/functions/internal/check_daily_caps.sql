-- Refuses the first item that takes its player over the daily cap of its board,
-- if the player is over it after all items. The players are locked.
CREATE OR REPLACE FUNCTION internal.check_daily_caps(p_items internal.item[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_item integer;
BEGIN
    -- By player and day: what the ledger counts, then the items in their order.
    -- A reversal frees its points on the day of its original.
    SELECT x.item INTO v_item
    FROM (
        SELECT x.item, x.points, x.checked, x.board,
            sum(x.before + x.points) OVER (PARTITION BY x.board, x.player, x.start ORDER BY x.item) AS running,
            sum(x.before + x.points) OVER (PARTITION BY x.board, x.player, x.start) AS total
        FROM (
            SELECT c.*, CASE WHEN row_number() OVER (PARTITION BY c.board, c.player, c.start ORDER BY c.item) > 1 THEN 0 ELSE (
                SELECT coalesce(sum(e.points), 0)
                FROM entries e
                WHERE e.board = c.board AND e.player = c.player -- as in internal.credits
                  AND (e.player, e.occurred_at) >= (c.player, c.start) AND (e.player, e.occurred_at) < (c.player, c."end")
                  AND e.kind IN ('result', 'import')
                  AND (SELECT r.id FROM entries r WHERE r.reverses = e.id) IS NULL) END AS before
            FROM (
                SELECT i.item, i.board, i.player, (i.sent).day_start AS start, (i.sent).day_end AS "end", i.points, true AS checked
                FROM unnest(p_items) i
                WHERE (i.sent).day_start IS NOT NULL
                UNION ALL
                SELECT i.item, i.board, i.player, d.start, d."end", i.points, false
                FROM unnest(p_items) i
                JOIN (SELECT DISTINCT i.board, (i.sent).day_start AS start, (i.sent).day_end AS "end" FROM unnest(p_items) i) d
                    ON d.board = i.board AND i.counted_at >= d.start AND i.counted_at < d."end"
            ) c
        ) x
    ) x
    JOIN boards b ON b.no = x.board
    WHERE x.checked AND x.points > 0 AND x.running > b.daily_cap AND x.total > b.daily_cap
    ORDER BY x.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse('daily-cap', v_item);
    END IF;
END $$;
