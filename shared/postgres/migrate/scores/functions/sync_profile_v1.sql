-- Brings the players of a user up to date with a version of the user's profile: those
-- whose link the user has accepted, and on boards of registered players the one with the
-- user's id. The state of their boards does not matter.
--
-- It works in steps, because a user can have many players. The first call, with a null
-- place, writes the profile unless the same or a newer version is there, or the user was
-- erased; each other one changes at most p_limit players. It returns {place, wake}: the
-- place where the next call goes on, null at the end, and whether the caller must wake the
-- relay. All of it can be repeated, and come late: the steps apply the newest version.
CREATE OR REPLACE FUNCTION sync_profile_v1(p_user text, p_version bigint, p_display_name text, p_country text, p_traceparent text, p_place jsonb, p_limit integer)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_board   integer := coalesce((p_place ->> 'board')::integer, 0);
    v_player  text := coalesce(p_place ->> 'player', '');
    v_boards  integer[]; -- of the players of this step; the two lists are parallel
    v_players text[];
    v_profile profiles;
    v_ids     text[];
    v_row     players;
    v_locked  players[] := '{}';
BEGIN
    IF p_place IS NULL THEN
        PERFORM pg_advisory_xact_lock(internal.profile_lock(p_user));
        INSERT INTO profiles AS p (user_id, version, display_name, country, erased)
        VALUES (p_user, p_version, p_display_name, p_country, false)
        ON CONFLICT (user_id) DO UPDATE SET version = excluded.version, display_name = excluded.display_name, country = excluded.country
        WHERE p.version < excluded.version AND NOT p.erased;
        SELECT * INTO STRICT v_profile FROM profiles WHERE user_id = p_user;
        -- The same version goes on: the first try may have ended in the middle.
        RETURN jsonb_build_object('place', CASE WHEN v_profile.version = p_version AND NOT v_profile.erased THEN '{}'::jsonb END, 'wake', false);
    END IF;

    SELECT array_agg(p.board), array_agg(p.id) INTO v_boards, v_players
    FROM (
        SELECT n.board, n.id
        FROM (
            (SELECT p.board, p.id FROM players p
            WHERE p.user_id = p_user AND (p.board, p.id) > (v_board, v_player COLLATE "C")
            ORDER BY p.board, p.id
            LIMIT p_limit)
            UNION
            (SELECT p.board, p.id FROM players p
            CROSS JOIN LATERAL (SELECT b.players FROM boards b WHERE b.no = p.board LIMIT 1) b
            WHERE length(p.id) = 36 AND p.id = p_user AND p.board >= v_board AND (p.board, p.id) > (v_board, v_player COLLATE "C") AND b.players = 'registered'
            ORDER BY p.board
            LIMIT p_limit)
        ) n
        ORDER BY n.board, n.id
        LIMIT p_limit
    ) p;
    IF v_boards IS NULL THEN
        RETURN '{"place": null, "wake": false}';
    END IF;
    v_ids := ARRAY(SELECT b.id FROM boards b WHERE b.no = ANY (v_boards) ORDER BY b.id);
    PERFORM internal.lock_boards(v_ids);
    FOR v_row IN
        SELECT p.* FROM players p
        JOIN unnest(v_boards, v_players) AS i (board, id) ON p.board = i.board AND p.id = i.id COLLATE "C"
        ORDER BY p.board, p.id
        FOR UPDATE OF p
    LOOP
        v_locked := v_locked || v_row;
    END LOOP;
    v_profile := internal.profile_of(p_user);
    FOREACH v_row IN ARRAY v_locked LOOP
        -- The link may have ended meanwhile.
        IF v_row.user_id = p_user OR v_row.id = p_user AND (SELECT b.players FROM boards b WHERE b.no = v_row.board) = 'registered' THEN
            PERFORM internal.follow_account((SELECT b.id FROM boards b WHERE b.no = v_row.board), v_row, v_profile, 'user/' || p_user, p_traceparent);
        END IF;
    END LOOP;
    RETURN jsonb_build_object('wake', internal.wake(), 'place', CASE WHEN cardinality(v_boards) = p_limit THEN
        jsonb_build_object('board', v_boards[p_limit], 'player', v_players[p_limit]) END);
END $$;

REVOKE ALL ON FUNCTION sync_profile_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sync_profile_v1 TO player_sync;
