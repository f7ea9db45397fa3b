-- Returns the items with their runs and with what they have of their players. The
-- players are locked and have counted the items, so an item's seq and recorded_at
-- follow from how many items of its player come later.
--
-- Sets of runs are joined by hashing, because a request can contain 1,000 of them.
CREATE OR REPLACE FUNCTION internal.place_items(p_items internal.item[], p_sets internal.run_set[]) RETURNS internal.item[]
LANGUAGE plpgsql VOLATILE
SET enable_nestloop = off
AS $$
BEGIN
    RETURN ARRAY(
        SELECT (i.item, i.sent, i.board, i.player, i.kind, i.points, i.tiebreak, i.original_runs, i.counted_at, i.final,
            s.runs, p.seq - i.later, p.recorded_at - i.later * interval '1 microsecond', p.status, p.attributes, p.user_id)::internal.item
        FROM (
            SELECT i.*, row_number() OVER (PARTITION BY i.board, i.player ORDER BY i.item DESC) - 1 AS later
            FROM unnest(p_items) i
        ) i
        LEFT JOIN unnest(p_sets) s ON s.run_set = (i.sent).run_set
        LEFT JOIN LATERAL (
            SELECT p.seq, p.recorded_at, p.status, p.attributes, p.user_id FROM players p WHERE p.board = i.board AND p.id = i.player LIMIT 1) p ON true);
END $$;
