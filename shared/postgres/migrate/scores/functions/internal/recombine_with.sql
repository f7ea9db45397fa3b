-- Returns what internal.recombine returns with items of the player that credit or
-- cancel in the run and are not in the ledger yet.
CREATE OR REPLACE FUNCTION internal.recombine_with(p_board integer, p_player text, p_run bigint, p_combine text, p_sign integer, p_items internal.item[])
RETURNS internal.tally
LANGUAGE sql STABLE AS $$
    SELECT internal.recombine(p_board, p_player, p_run, p_combine, p_sign,
        ARRAY(SELECT (i.sent).reverses FROM unnest(p_items) i WHERE (i.sent).reverses IS NOT NULL),
        ARRAY(SELECT (i.points, i.tiebreak, (i.sent).occurred_at, i.kind = 'adjustment')::internal.contribution
              FROM unnest(p_items) i
              WHERE (i.sent).reverses IS NULL
              ORDER BY (i.sent).occurred_at, i.item))
$$;
