-- Writes the items' keys and returns the items that are new; the others are
-- replays of entries under the same keys. It waits for sessions that are writing
-- the same keys. A key of another request refuses its item.
CREATE OR REPLACE FUNCTION internal.claim_keys(p_items internal.item[]) RETURNS internal.item[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_claimed bigint;
    v_item    integer;
BEGIN
    INSERT INTO entry_keys (board, key, digest, entry)
    SELECT i.board, (i.sent).key, (i.sent).digest, (i.sent).id
    FROM unnest(p_items) i
    WHERE (i.sent).key IS NOT NULL
    ORDER BY i.board, (i.sent).key
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_claimed = ROW_COUNT;
    IF v_claimed = cardinality(p_items) THEN
        RETURN p_items;
    END IF;

    SELECT i.item INTO v_item
    FROM unnest(p_items) i
    CROSS JOIN LATERAL (SELECT k.digest FROM entry_keys k WHERE k.board = i.board AND k.key = (i.sent).key LIMIT 1) k
    WHERE k.digest <> (i.sent).digest
    ORDER BY i.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse('key-reused', v_item);
    END IF;
    RETURN ARRAY(
        SELECT i
        FROM unnest(p_items) i
        LEFT JOIN LATERAL (SELECT k.entry FROM entry_keys k WHERE k.board = i.board AND k.key = (i.sent).key LIMIT 1) k ON true
        WHERE (i.sent).key IS NULL OR k.entry = (i.sent).id
        ORDER BY i.item);
END $$;
