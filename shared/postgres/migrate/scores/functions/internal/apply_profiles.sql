-- Applies the items' profiles to their players, in the order of the items, and
-- returns the players that changed. Name and country of a player with an account
-- are the account's, so those of its items are left out. If a player would end up
-- with too many attributes, it refuses the first item after which that is so. The
-- players are locked.
CREATE OR REPLACE FUNCTION internal.apply_profiles(p_items internal.item[]) RETURNS internal.player_change[]
LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_changes internal.player_change[];
    v_item    integer;
BEGIN
    v_changes := ARRAY(
        SELECT (c.board, c.id, c.old, c.new)::internal.player_change
        FROM (
            SELECT p.board, p.id, internal.player_json(p) AS old, internal.player_patch_all(internal.player_json(p),
                CASE WHEN internal.has_account(p.user_id, b.players) THEN (i.sent).profile - '{display_name,country}'::text[] ELSE (i.sent).profile END ORDER BY i.item) AS new
            FROM unnest(p_items) i
            JOIN players p ON p.board = i.board AND p.id = i.player
            CROSS JOIN LATERAL (SELECT b.players FROM boards b WHERE b.no = p.board LIMIT 1) b
            WHERE (i.sent).profile IS NOT NULL
            GROUP BY p.board, p.id
        ) c
        WHERE c.new <> c.old
        ORDER BY c.board, c.id);

    SELECT x.item INTO v_item
    FROM (
        SELECT i.item, internal.player_patch_all(c.old, (i.sent).profile) OVER (PARTITION BY i.board, i.player ORDER BY i.item) AS new
        FROM unnest(v_changes) c
        JOIN unnest(p_items) i ON i.board = c.board AND i.player = c.player AND (i.sent).profile IS NOT NULL
        WHERE internal.too_many_attributes(c.new -> 'attributes')
    ) x
    WHERE internal.too_many_attributes(x.new -> 'attributes')
    ORDER BY x.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse('attributes', v_item);
    END IF;

    UPDATE players p
    SET display_name = c.new ->> 'display_name', country = c.new ->> 'country', attributes = c.new -> 'attributes',
        cat1 = c.new -> 'attributes' ->> b.categories[1], cat2 = c.new -> 'attributes' ->> b.categories[2],
        cat3 = c.new -> 'attributes' ->> b.categories[3], cat4 = c.new -> 'attributes' ->> b.categories[4]
    FROM unnest(v_changes) c
    CROSS JOIN LATERAL (SELECT b.categories FROM boards b WHERE b.no = c.board LIMIT 1) b
    WHERE p.board = c.board AND p.id = c.player;

    RETURN v_changes;
END $$;
