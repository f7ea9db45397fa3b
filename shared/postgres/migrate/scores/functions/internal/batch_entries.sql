-- Returns the reversals and the replays of a batch that was written, as a JSON array
-- in any order, see add_entries_v3.
CREATE OR REPLACE FUNCTION internal.batch_entries(p_items internal.item[]) RETURNS json
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (
        SELECT json_agg(json_build_object('item', i.item, 'id', e.id, 'player', e.player, 'points', e.points,
            'batch', e.batch, 'replayed', e.id <> (i.sent).id))
        FROM unnest(p_items) i
        CROSS JOIN LATERAL (SELECT (SELECT k.entry FROM entry_keys k WHERE k.board = i.board AND k.key = (i.sent).key) AS entry) k
        CROSS JOIN LATERAL (SELECT e.id, e.player, e.points, e.batch FROM entries e WHERE e.id = coalesce(k.entry, (i.sent).id) LIMIT 1) e
        WHERE k.entry <> (i.sent).id OR (i.sent).reverses IS NOT NULL);
END $$;
