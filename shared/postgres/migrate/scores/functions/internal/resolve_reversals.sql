-- Returns the items, the reversals completed from their originals. The player of a
-- reversal stays null if its original does not exist.
CREATE OR REPLACE FUNCTION internal.resolve_reversals(p_items internal.item[]) RETURNS internal.item[]
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN e.id IS NULL THEN i ELSE
            (i.item, i.sent, i.board, e.player, 'reversal', - e.points, - e.tiebreak,
            e.runs, CASE WHEN e.kind IN ('result', 'import') THEN e.occurred_at END, e.kind = 'reversal' OR e.reversed,
            NULL, NULL, NULL, NULL, NULL, NULL)::internal.item END
        FROM unnest(p_items) i
        LEFT JOIN LATERAL (
            SELECT e.id, e.board, e.player, e.points, e.tiebreak, e.kind, e.occurred_at, e.runs,
                (SELECT r.id FROM entries r WHERE r.reverses = e.id) IS NOT NULL AS reversed
            FROM entries e
            WHERE e.id = (i.sent).reverses
            LIMIT 1) e ON e.board = i.board
        ORDER BY i.item);
END $$;
