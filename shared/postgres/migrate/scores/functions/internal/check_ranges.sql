-- Refuses the first item that takes a score, a tiebreak or the sum of the
-- adjustments out of range, if that is out of range after all items. The standings
-- are those after all items; what a sum was after each item follows from them. On
-- `best` and `last` the item is one that crosses: before it the numbers are in
-- range, after it they are not.
CREATE OR REPLACE FUNCTION internal.check_ranges(p_items internal.item[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_item   integer;
    v_cause  text;
    v_group  record;
    v_tally  internal.tally;
    v_within internal.tally;
    v_low    integer; -- after so many items of the group the numbers are in range
    v_high   integer; -- and after so many they are not
    v_middle integer;
BEGIN
    SELECT x.item, CASE WHEN internal.in_range(x.score) AND internal.in_range(x.adj_score) THEN 'tiebreak-range' ELSE 'range' END
    INTO v_item, v_cause
    FROM (
        -- A number that is back in its range after all items counts as 0.
        SELECT i.item,
            CASE WHEN internal.in_range(s.score) THEN 0 ELSE s.score - coalesce(sum(i.points) OVER later, 0) END::bigint AS score,
            CASE WHEN internal.in_range(s.tiebreak) THEN 0 ELSE s.tiebreak - coalesce(sum(i.tiebreak) OVER later, 0) END::bigint AS tiebreak,
            CASE WHEN internal.in_range(s.adj_score) THEN 0 ELSE s.adj_score - coalesce(sum(i.adj_points) OVER later, 0) END::bigint AS adj_score,
            CASE WHEN internal.in_range(s.adj_tiebreak) THEN 0 ELSE s.adj_tiebreak - coalesce(sum(i.adj_tiebreak) OVER later, 0) END::bigint AS adj_tiebreak
        FROM (
            SELECT i.*, CASE WHEN a.adjusts THEN i.points ELSE 0 END AS adj_points, CASE WHEN a.adjusts THEN i.tiebreak ELSE 0 END AS adj_tiebreak
            FROM unnest(p_items) i
            -- The reversal of an adjustment counts towards no cap.
            CROSS JOIN LATERAL (SELECT i.kind = 'adjustment' OR i.kind = 'reversal' AND i.counted_at IS NULL AS adjusts) a
        ) i
        CROSS JOIN LATERAL (SELECT b.combine FROM boards b WHERE b.no = i.board LIMIT 1) b
        CROSS JOIN LATERAL unnest(i.runs) AS c (run)
        CROSS JOIN LATERAL (
            SELECT s.score, s.tiebreak, s.adj_score, s.adj_tiebreak FROM standings s WHERE s.run = c.run AND s.player = i.player LIMIT 1) s
        WHERE b.combine = 'sum'
          AND NOT (internal.in_range(s.score) AND internal.in_range(s.tiebreak) AND internal.in_range(s.adj_score) AND internal.in_range(s.adj_tiebreak))
        WINDOW later AS (PARTITION BY c.run, i.player ORDER BY i.item ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
    ) x
    WHERE NOT (internal.in_range(x.score) AND internal.in_range(x.tiebreak) AND internal.in_range(x.adj_score) AND internal.in_range(x.adj_tiebreak))
    ORDER BY x.item
    LIMIT 1;

    FOR v_group IN
        SELECT c.run, i.board, i.player, b.combine, b.sign, array_agg(i ORDER BY i.item) AS items, min(i.item) AS first
        FROM unnest(p_items) i
        CROSS JOIN LATERAL (SELECT b.combine, internal.rank_sign(b) AS sign FROM boards b WHERE b.no = i.board LIMIT 1) b
        CROSS JOIN LATERAL unnest(i.runs) AS c (run)
        WHERE b.combine <> 'sum'
        GROUP BY c.run, i.board, i.player, b.combine, b.sign
        ORDER BY min(i.item)
    LOOP
        EXIT WHEN v_item <= v_group.first;
        v_high := cardinality(v_group.items);
        v_tally := internal.recombine_with(v_group.board, v_group.player, v_group.run, v_group.combine, v_group.sign, v_group.items);
        CONTINUE WHEN internal.in_bounds(v_tally);
        v_low := 0;
        WHILE v_high - v_low > 1 LOOP
            v_middle := (v_low + v_high) / 2;
            v_within := internal.recombine_with(v_group.board, v_group.player, v_group.run, v_group.combine, v_group.sign, v_group.items[:v_middle]);
            IF internal.in_bounds(v_within) THEN
                v_low := v_middle;
            ELSE
                v_high := v_middle;
                v_tally := v_within;
            END IF;
        END LOOP;
        IF v_item IS NULL OR (v_group.items[v_high]).item < v_item THEN
            v_item := (v_group.items[v_high]).item;
            v_cause := CASE WHEN internal.in_range(coalesce(v_tally.score, 0)) AND internal.in_range(v_tally.adj_score) THEN 'tiebreak-range' ELSE 'range' END;
        END IF;
    END LOOP;
    IF v_item IS NOT NULL THEN
        PERFORM internal.refuse(v_cause, v_item);
    END IF;
END $$;
