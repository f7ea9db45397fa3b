-- Returns the items that are refused before anything is written, see
-- add_entries_v3; null if there are none. The cause is key-reused (the key belongs to
-- another request), no-entry (the entry to be reversed does not exist) or refused (by
-- the board); the last two do not apply to a replay. Only the items with the first
-- of these causes are returned, in their order.
CREATE OR REPLACE FUNCTION internal.refused_items(p_items internal.item[]) RETURNS json
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (
        SELECT json_build_object('cause', CASE x.cause WHEN 1 THEN 'key-reused' WHEN 2 THEN 'no-entry' ELSE 'refused' END,
            'items', json_agg(x.item ORDER BY x.item))
        FROM (
            SELECT i.item, CASE WHEN k.entry IS NOT NULL THEN 1 WHEN i.player IS NULL THEN 2 ELSE 3 END AS cause
            FROM unnest(p_items) i
            LEFT JOIN LATERAL (SELECT k.entry, k.digest FROM entry_keys k WHERE k.board = i.board AND k.key = (i.sent).key LIMIT 1) k ON true
            WHERE k.digest <> (i.sent).digest OR k.entry IS NULL AND ((i.sent).refused OR i.player IS NULL)
        ) x
        GROUP BY x.cause
        ORDER BY x.cause
        LIMIT 1);
END $$;
