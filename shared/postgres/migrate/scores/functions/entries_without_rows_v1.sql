-- Looks at the first p_limit entries with an id above p_after, and returns the ids of
-- those that the outbox has no row of, not even one that could never be sent, with what
-- the events show. last is where the next call goes on, null at the end; it comes in a
-- row of its own.
CREATE OR REPLACE FUNCTION entries_without_rows_v1(p_after uuid, p_limit integer) RETURNS TABLE (entry_data json, last uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_ids uuid[];
BEGIN
    v_ids := ARRAY(SELECT e.id FROM entries e WHERE e.id > p_after ORDER BY e.id LIMIT p_limit);
    RETURN QUERY
        SELECT internal.entry_data(i.id), NULL::uuid
        FROM unnest(v_ids) AS i (id)
        WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.entry = i.id) AND NOT EXISTS (SELECT FROM outbox_failed f WHERE f.entry = i.id);
    IF cardinality(v_ids) = p_limit THEN
        RETURN QUERY SELECT NULL::json, v_ids[p_limit];
    END IF;
END $$;

REVOKE ALL ON FUNCTION entries_without_rows_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION entries_without_rows_v1 TO db_check;
