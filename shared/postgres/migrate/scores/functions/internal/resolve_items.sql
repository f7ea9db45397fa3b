-- Returns the items with their boards' numbers, and what the request contains.
CREATE OR REPLACE FUNCTION internal.resolve_items(p_items add_item_v1[]) RETURNS internal.request
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_request internal.request;
BEGIN
    SELECT array_agg((i.item, i, b.no, i.player, i.kind, i.points, i.tiebreak, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::internal.item),
        bool_or(b.version <> i.version), bool_or(i.refused), bool_or(i.run_set IS NULL), bool_or(i.key IS NOT NULL), bool_or(i.reverses IS NOT NULL),
        bool_or(i.profile IS NOT NULL), bool_or(i.day_start IS NOT NULL)
    INTO v_request
    FROM unnest(p_items) i
    -- LEFT, so that an item without a board violates a NOT NULL and is not lost.
    LEFT JOIN LATERAL (SELECT b.no, b.version FROM boards b WHERE b.id = i.board LIMIT 1) b ON true;
    RETURN v_request;
END $$;
