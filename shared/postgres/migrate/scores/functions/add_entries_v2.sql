-- Does what add_entries_v3 does for functions of the previous release, which go on
-- while a deployment replaces them. They do not pass the person who acts. Links that
-- they propose by an API key are left out.
CREATE OR REPLACE FUNCTION add_entries_v2(p_boards text[], p_items add_item_v1[], p_runs add_run_v1[],
    p_actor text, p_traceparent text, p_batch uuid, p_renames integer[])
RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN add_entries_v3(p_boards, p_items, p_runs, p_actor, internal.person(p_actor), p_traceparent, p_batch, p_renames);
END $$;

REVOKE ALL ON FUNCTION add_entries_v2 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_entries_v2 TO score_add;
