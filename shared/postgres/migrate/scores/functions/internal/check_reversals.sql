-- Refuses the first reversal whose original has been reversed since
-- internal.resolve_items looked, or by an item before it. The players are locked.
CREATE OR REPLACE FUNCTION internal.check_reversals(p_items internal.item[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_item integer;
BEGIN
    SELECT i.item INTO v_item
    FROM (
        SELECT i.item, (i.sent).reverses, row_number() OVER (PARTITION BY (i.sent).reverses ORDER BY i.item) AS nth
        FROM unnest(p_items) i
        WHERE (i.sent).reverses IS NOT NULL
    ) i
    WHERE i.nth > 1 OR (SELECT r.id FROM entries r WHERE r.reverses = i.reverses) IS NOT NULL
    ORDER BY i.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse('reversed', v_item);
    END IF;
END $$;
