-- Refuses the first item of which no run is open, or not every run and the item is
-- not late. It reads no table, so hash joins are safe, see internal.place_items.
CREATE OR REPLACE FUNCTION internal.check_runs(p_items internal.item[], p_sets internal.run_set[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_nestloop = off
AS $$
DECLARE
    v_item  integer;
    v_cause text;
BEGIN
    SELECT i.item, CASE WHEN i.final THEN 'reversed' ELSE 'closed' END INTO v_item, v_cause
    FROM unnest(p_items) i
    LEFT JOIN unnest(p_sets) s ON s.run_set = (i.sent).run_set
    WHERE i.final OR s.runs IS NULL OR s.partial AND NOT (i.sent).late
    ORDER BY i.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse(v_cause, v_item);
    END IF;
END $$;
