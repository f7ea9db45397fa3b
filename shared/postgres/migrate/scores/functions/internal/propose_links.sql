-- Changes the links of the players whose items bring a `user`. The players are locked.
CREATE OR REPLACE FUNCTION internal.propose_links(p_items internal.item[], p_actor text, p_person text, p_traceparent text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_boards  integer[];
    v_players text[];
    v_users   text[];
    v_items   integer[];
BEGIN
    SELECT array_agg(i.board), array_agg(i.player), array_agg((i.sent).profile ->> 'user'), array_agg(i.item)
    INTO v_boards, v_players, v_users, v_items
    FROM unnest(p_items) i
    WHERE (i.sent).profile ? 'user';
    IF v_boards IS NOT NULL THEN
        PERFORM internal.change_links(v_boards, v_players, v_users, v_items, p_actor, p_person, p_traceparent);
    END IF;
END $$;
