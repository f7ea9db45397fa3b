-- Returns what a player's credits in one run combine to; no row if the player has no
-- credit left there, and so no standing.
CREATE OR REPLACE FUNCTION internal.recombine(p_board integer, p_player text, p_run bigint, p_start timestamptz, p_end timestamptz,
    p_combine text, p_sign integer, p_gone uuid[])
RETURNS SETOF internal.credit
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_credit internal.credit;
    v_latest timestamptz;
BEGIN
    IF p_combine = 'best' THEN
        SELECT c.points, c.tiebreak, c.occurred_at, c.points <> 0 OR c.tiebreak <> 0 INTO v_credit
        FROM internal.credits(p_board, p_player, p_run, p_start, p_end, p_gone) c
        WHERE c.player = p_player
        ORDER BY p_sign * c.points, p_sign * c.tiebreak, c.occurred_at, c.seq DESC
        LIMIT 1;
    ELSIF p_combine = 'last' THEN
        -- In two steps, because sorting by seq too would read all of them.
        SELECT c.occurred_at INTO v_latest
        FROM internal.credits(p_board, p_player, p_run, p_start, p_end, p_gone) c
        ORDER BY c.player DESC, c.occurred_at DESC
        LIMIT 1;
        SELECT c.points, c.tiebreak, c.occurred_at, c.points <> 0 OR c.tiebreak <> 0 INTO v_credit
        FROM internal.credits(p_board, p_player, p_run, v_latest, v_latest + interval '1 microsecond', p_gone) c
        ORDER BY c.seq DESC
        LIMIT 1;
    ELSE
        SELECT sum(c.points)::bigint, sum(c.tiebreak)::bigint,
            coalesce(max(c.occurred_at) FILTER (WHERE c.points <> 0 OR c.tiebreak <> 0), min(c.occurred_at)),
            bool_or(c.points <> 0 OR c.tiebreak <> 0)
        INTO v_credit
        FROM internal.credits(p_board, p_player, p_run, p_start, p_end, p_gone) c
        WHERE c.player = p_player
        HAVING count(*) > 0;
    END IF;
    IF FOUND THEN
        RETURN NEXT v_credit;
    END IF;
END $$;
