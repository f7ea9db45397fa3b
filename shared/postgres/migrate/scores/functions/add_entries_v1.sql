-- Does what add_entries_v2 does for functions of the previous release, which go on
-- while a deployment replaces them. Their items rename players without asking.
CREATE OR REPLACE FUNCTION add_entries_v1(p_boards text[], p_items add_item_v1[], p_runs add_run_v1[],
    p_actor text, p_traceparent text, p_batch uuid)
RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN add_entries_v2(p_boards, p_items, p_runs, p_actor, p_traceparent, p_batch, ARRAY(SELECT i.item FROM unnest(p_items) i));
END $$;

REVOKE ALL ON FUNCTION add_entries_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_entries_v1 TO score_add;
