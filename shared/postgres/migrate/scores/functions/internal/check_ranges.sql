-- Refuses the first item that takes a score or a tiebreak out of range, if it is
-- out of range after all items. The standings are those after all items; what a sum
-- was after each item follows from them.
CREATE OR REPLACE FUNCTION internal.check_ranges(p_items internal.item[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_item  integer;
    v_cause text;
BEGIN
    SELECT x.item, CASE WHEN internal.in_range(x.score) THEN 'tiebreak-range' ELSE 'range' END
    INTO v_item, v_cause
    FROM (
        -- A number that is back in its range after all items counts as 0.
        SELECT i.item,
            CASE WHEN internal.in_range(s.score) THEN 0 ELSE s.score - coalesce(sum(i.points) OVER later, 0) END::bigint AS score,
            CASE WHEN internal.in_range(s.tiebreak) THEN 0 ELSE s.tiebreak - coalesce(sum(i.tiebreak) OVER later, 0) END::bigint AS tiebreak
        FROM unnest(p_items) i
        CROSS JOIN LATERAL unnest(i.runs) AS c (run)
        CROSS JOIN LATERAL (
            SELECT s.score, s.tiebreak FROM standings s WHERE s.run = c.run AND s.player = i.player LIMIT 1) s
        WHERE NOT internal.in_range(s.score) OR NOT internal.in_range(s.tiebreak)
        WINDOW later AS (PARTITION BY c.run, i.player ORDER BY i.item ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
    ) x
    WHERE NOT internal.in_range(x.score) OR NOT internal.in_range(x.tiebreak)
    ORDER BY x.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse(v_cause, v_item);
    END IF;
END $$;
