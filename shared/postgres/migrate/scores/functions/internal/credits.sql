-- Returns a player's credits in one run, without those that a reversal cancelled
-- there and without p_gone, which are being reversed now.
--
-- Rows are compared, because no other index than entries_player serves them: if
-- each column were compared alone, or the order were that of time alone, a
-- planner without statistics might take entries_board and read all players. A
-- caller that reads all of a player's credits adds player = p_player, or else a
-- planner with statistics takes them for half of the table.
CREATE OR REPLACE FUNCTION internal.credits(p_board integer, p_player text, p_run bigint, p_start timestamptz, p_end timestamptz, p_gone uuid[])
RETURNS SETOF entries
LANGUAGE sql STABLE AS $$
    SELECT e.*
    FROM entries e
    WHERE e.board = p_board AND (e.player, e.occurred_at) >= (p_player, p_start) AND (e.player, e.occurred_at) < (p_player, p_end)
      AND e.kind <> 'reversal' AND p_run = ANY (e.runs)
      AND e.id <> ALL (p_gone)
      AND (SELECT r.id FROM entries r WHERE r.reverses = e.id AND p_run = ANY (r.runs)) IS NULL
$$;
