-- Brings the copies of status and categories in the standings of open runs up to
-- date with the players, whose rows are locked. The two lists are parallel.
CREATE OR REPLACE FUNCTION internal.follow_players(p_boards integer[], p_players text[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    -- Each board is read once, whatever the number of its players. OFFSET 0 keeps
    -- the query of the copies apart from the update, so that standings are looked
    -- up by their whole key.
    UPDATE standings s
    SET status = n.status, cat1 = n.cat1, cat2 = n.cat2, cat3 = n.cat3, cat4 = n.cat4
    FROM (
        SELECT r.run, p.id AS player, p.status, p.attributes ->> b.categories[1] AS cat1, p.attributes ->> b.categories[2] AS cat2,
            p.attributes ->> b.categories[3] AS cat3, p.attributes ->> b.categories[4] AS cat4
        FROM (
            SELECT i.board, array_agg(i.player) AS players
            FROM unnest(p_boards, p_players) AS i (board, player)
            GROUP BY i.board
        ) i
        CROSS JOIN LATERAL (
            SELECT b.categories, ARRAY(SELECT r.no FROM internal.runs_open_at(b, p_now) r) AS runs FROM boards b WHERE b.no = i.board LIMIT 1) b
        CROSS JOIN LATERAL unnest(i.players) AS l (player)
        CROSS JOIN LATERAL (
            SELECT p.id, p.status, p.attributes FROM players p WHERE p.board = i.board AND p.id = l.player COLLATE "C" LIMIT 1) p
        CROSS JOIN LATERAL unnest(b.runs) AS r (run)
        OFFSET 0
    ) n
    WHERE s.run = n.run AND s.player = n.player
      AND (s.status, s.cat1, s.cat2, s.cat3, s.cat4) IS DISTINCT FROM (n.status, n.cat1, n.cat2, n.cat3, n.cat4);
END $$;
