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
    -- The inner queries stand alone (OFFSET 0), so that each table is probed by
    -- its whole key, and not by the board or the run first.
    UPDATE standings s
    SET status = n.status, cat1 = n.cat1, cat2 = n.cat2, cat3 = n.cat3, cat4 = n.cat4
    FROM (
        SELECT r.no AS run, p.id AS player, p.status, p.attributes ->> b.categories[1] AS cat1, p.attributes ->> b.categories[2] AS cat2,
            p.attributes ->> b.categories[3] AS cat3, p.attributes ->> b.categories[4] AS cat4
        FROM (
            SELECT p.board, p.id, p.status, p.attributes
            FROM unnest(p_boards, p_players) AS i (board, player)
            JOIN players p ON p.board = i.board AND p.id = i.player COLLATE "C"
            OFFSET 0
        ) p
        JOIN boards b ON b.no = p.board
        CROSS JOIN LATERAL internal.runs_open_at(b, p_now) r
        OFFSET 0
    ) n
    WHERE s.run = n.run AND s.player = n.player
      AND (s.status, s.cat1, s.cat2, s.cat3, s.cat4) IS DISTINCT FROM (n.status, n.cat1, n.cat2, n.cat3, n.cat4);
END $$;
