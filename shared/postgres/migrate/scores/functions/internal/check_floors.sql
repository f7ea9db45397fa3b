-- Refuses the first item that takes a player's score of the period `all` below the
-- floor of the board, if it is below after all items and they did not raise it. If
-- none of them took it there, the first item is refused. The standings are those
-- after all items, and every item changed that one by its points, because `all`
-- never closes.
CREATE OR REPLACE FUNCTION internal.check_floors(p_items internal.item[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_item integer;
BEGIN
    SELECT x.item INTO v_item
    FROM (
        SELECT i.item, i.points, b.floor, s.score, sum(i.points) OVER (PARTITION BY i.board, i.player) AS change,
            s.score - coalesce(sum(i.points) OVER later, 0) AS running
        FROM unnest(p_items) i
        CROSS JOIN LATERAL (SELECT b.floor FROM boards b WHERE b.no = i.board AND b.floor IS NOT NULL LIMIT 1) b
        CROSS JOIN LATERAL (SELECT r.no FROM runs r WHERE r.board = i.board AND r.period = 'all' AND r.start_at = '-infinity' LIMIT 1) r
        CROSS JOIN LATERAL (SELECT s.score FROM standings s WHERE s.run = r.no AND s.player = i.player LIMIT 1) s
        WINDOW later AS (PARTITION BY i.board, i.player ORDER BY i.item ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
    ) x
    WHERE x.score < x.floor AND x.change <= 0
    ORDER BY NOT (x.points < 0 AND x.running < x.floor), x.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse('floor', v_item);
    END IF;
END $$;
