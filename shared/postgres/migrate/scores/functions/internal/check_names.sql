-- Refuses the first item whose profile changes or clears the display name of its
-- player, which an item before it or the player itself has, unless the item is one
-- of p_renames: a bib that is used twice by mistake must not rename a player. The
-- name of a player with an account is the account's, so that items do not change
-- it. The players are locked.
CREATE OR REPLACE FUNCTION internal.check_names(p_items internal.item[], p_renames integer[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_item  integer;
    v_other integer; -- null: the player has the name
    v_name  text;
BEGIN
    SELECT x.item, x.other, x.before INTO v_item, v_other, v_name
    FROM (
        SELECT i.item, (i.sent).profile ->> 'display_name' AS name, lag(i.item) OVER w AS other,
            CASE WHEN lag(i.item) OVER w IS NULL THEN p.display_name ELSE lag((i.sent).profile ->> 'display_name') OVER w END AS before
        FROM unnest(p_items) i
        JOIN players p ON p.board = i.board AND p.id = i.player
        CROSS JOIN LATERAL (SELECT b.players FROM boards b WHERE b.no = p.board LIMIT 1) b
        WHERE (i.sent).profile ? 'display_name' AND NOT internal.has_account(p.user_id, b.players)
        WINDOW w AS (PARTITION BY i.board, i.player ORDER BY i.item)
    ) x
    WHERE x.name IS DISTINCT FROM x.before AND x.before IS NOT NULL AND x.item <> ALL (p_renames)
    ORDER BY x.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse('name', v_item, v_other, v_name);
    END IF;
END $$;
