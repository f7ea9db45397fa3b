-- Is called by the previous version. See internal.create_board; an API key's user is
-- known only if the key's board has one owner.
CREATE OR REPLACE FUNCTION create_board_v1(p_board jsonb, p_actor text, p_traceparent text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN internal.create_board(p_board,
        CASE WHEN starts_with(p_actor, 'user/') THEN substr(p_actor, length('user/') + 1)
            WHEN jsonb_array_length(p_board -> 'owners') = 1 THEN p_board -> 'owners' ->> 0 END,
        p_actor, p_traceparent);
END $$;

REVOKE ALL ON FUNCTION create_board_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_board_v1 TO board_admin;
