-- Erases the players of an erased user in steps, see internal.erase_user_players. The
-- first call, with a null place, only writes down that the user is erased: from then on no
-- player takes their name or their link. It returns {place, wake}: the place where the next
-- call goes on, null at the end, and whether the caller must wake the relay. All of it can
-- be repeated.
CREATE OR REPLACE FUNCTION erase_user_players_v1(p_user text, p_version bigint, p_traceparent text, p_place jsonb, p_limit integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_place jsonb;
BEGIN
    IF p_place IS NULL THEN
        PERFORM pg_advisory_xact_lock(internal.profile_lock(p_user));
        INSERT INTO profiles AS p (user_id, version, display_name, country, erased)
        VALUES (p_user, p_version, NULL, NULL, true)
        ON CONFLICT (user_id) DO UPDATE SET version = greatest(p.version, excluded.version), display_name = NULL, country = NULL, erased = true;
        RETURN '{"place": {}, "wake": false}';
    END IF;
    v_place := internal.erase_user_players(p_user, p_place, p_limit, 'user/' || p_user, p_traceparent);
    RETURN jsonb_build_object('wake', internal.wake(), 'place', v_place);
END $$;

REVOKE ALL ON FUNCTION erase_user_players_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_user_players_v1 TO player_sync;
