-- Brings the copies of status and categories in the standings of open runs up to
-- date with the players, whose rows are locked. The two lists are parallel.
--
-- The number of players times that of open runs can be in the millions; a player
-- has standings in few of those runs. So if it is large, the players' standings are
-- read; and if it is small, none of the closed ones are.
CREATE OR REPLACE FUNCTION internal.follow_players(p_boards integer[], p_players text[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_one  record;
    v_runs bigint[];
BEGIN
    FOR v_one IN
        SELECT b.board, b.categories, i.players
        FROM (SELECT i.board AS no, array_agg(i.player) AS players FROM unnest(p_boards, p_players) AS i (board, player) GROUP BY i.board) i
        CROSS JOIN LATERAL (SELECT b AS board, b.categories FROM boards b WHERE b.no = i.no LIMIT 1) b
        ORDER BY i.no
    LOOP
        v_runs := ARRAY(SELECT r.no FROM internal.runs_open_at(v_one.board, p_now) r);
        -- OFFSET 0 keeps the query of the copies apart from the update, so that
        -- standings are looked up by their whole key.
        IF cardinality(v_runs)::bigint * cardinality(v_one.players) <= 10000 THEN
            UPDATE standings s
            SET status = n.status, cat1 = n.cat1, cat2 = n.cat2, cat3 = n.cat3, cat4 = n.cat4
            FROM (
                SELECT r.run, p.*
                FROM internal.player_copies((v_one.board).no, v_one.categories, v_one.players) p
                CROSS JOIN LATERAL unnest(v_runs) AS r (run)
                OFFSET 0
            ) n
            WHERE s.run = n.run AND s.player = n.player
              AND (s.status, s.cat1, s.cat2, s.cat3, s.cat4) IS DISTINCT FROM (n.status, n.cat1, n.cat2, n.cat3, n.cat4);
        ELSE
            UPDATE standings s
            SET status = n.status, cat1 = n.cat1, cat2 = n.cat2, cat3 = n.cat3, cat4 = n.cat4
            FROM (
                SELECT o.run, p.*
                FROM internal.player_copies((v_one.board).no, v_one.categories, v_one.players) p
                CROSS JOIN LATERAL (
                    SELECT o.run FROM standings o
                    WHERE o.player = p.player
                      AND (o.status, o.cat1, o.cat2, o.cat3, o.cat4) IS DISTINCT FROM (p.status, p.cat1, p.cat2, p.cat3, p.cat4)) o
                JOIN runs r ON r.no = o.run
                WHERE r.board = (v_one.board).no AND internal.run_closes_at(v_one.board, r.end_at) > p_now
                OFFSET 0
            ) n
            WHERE s.run = n.run AND s.player = n.player;
        END IF;
    END LOOP;
END $$;
