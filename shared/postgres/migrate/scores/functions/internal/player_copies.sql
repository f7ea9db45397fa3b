-- Returns what the standings of a board's players copy of them.
CREATE OR REPLACE FUNCTION internal.player_copies(p_board integer, p_categories text[], p_players text[])
RETURNS TABLE (player text, status text, cat1 text, cat2 text, cat3 text, cat4 text)
LANGUAGE sql STABLE AS $$
    SELECT p.id, p.status, p.attributes ->> p_categories[1], p.attributes ->> p_categories[2], p.attributes ->> p_categories[3], p.attributes ->> p_categories[4]
    FROM unnest(p_players) AS i (player)
    CROSS JOIN LATERAL (SELECT p.id, p.status, p.attributes FROM players p WHERE p.board = p_board AND p.id = i.player COLLATE "C" LIMIT 1) p
$$;
