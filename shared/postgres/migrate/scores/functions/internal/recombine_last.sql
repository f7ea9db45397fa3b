-- Returns what internal.recombine does for a board that combines by `last`. It walks
-- backwards and stops where the score last changed, because the history may be long.
CREATE OR REPLACE FUNCTION internal.recombine_last(p_board integer, p_player text, p_run bigint, p_start timestamptz, p_end timestamptz, p_gone uuid[],
    p_more internal.contribution[])
RETURNS internal.tally
LANGUAGE plpgsql STABLE
-- So that the rows come in the order of the index and only equal instants are
-- sorted by seq: the first rows without reading all.
SET enable_sort = off
SET cursor_tuple_fraction = 0.0001
AS $$
DECLARE
    v_ledger CURSOR FOR
        SELECT c.points, c.tiebreak, c.occurred_at, c.kind = 'adjustment'
        FROM internal.credits(p_board, p_player, p_run, p_start, p_end, p_gone) c
        ORDER BY c.player DESC, c.occurred_at DESC, c.seq DESC;
    v_row      internal.contribution; -- the next one of the ledger
    v_left     integer := cardinality(p_more);
    v_one      internal.contribution;
    v_found    boolean;
    v_tally    internal.tally := (NULL, NULL, NULL, false, 0, 0, NULL);
    v_held     internal.contribution; -- the result that follows in time
    v_points   numeric := 0; -- of the adjustments between the current place and that result
    v_tiebreak numeric := 0;
    v_moved    timestamptz;  -- when the latest of them that is not 0 occurred
    v_first    timestamptz;  -- when the first result of the ledger occurred
    v_seq      bigint;       -- its seq
    v_more     integer;      -- the place of the first result of p_more
BEGIN
    OPEN v_ledger;
    FETCH v_ledger INTO v_row.points, v_row.tiebreak, v_row.occurred_at, v_row.adjustment;
    v_found := FOUND;
    LOOP
        -- What is being added has the greater seq.
        IF v_left > 0 AND (NOT v_found OR p_more[v_left].occurred_at >= v_row.occurred_at) THEN
            v_one := p_more[v_left];
            v_left := v_left - 1;
        ELSIF v_found THEN
            v_one := v_row;
            FETCH v_ledger INTO v_row.points, v_row.tiebreak, v_row.occurred_at, v_row.adjustment;
            v_found := FOUND;
        ELSE
            EXIT;
        END IF;

        IF v_one.adjustment THEN
            v_points := v_points + v_one.points;
            v_tiebreak := v_tiebreak + v_one.tiebreak;
            IF v_moved IS NULL AND (v_one.points <> 0 OR v_one.tiebreak <> 0) THEN
                v_moved := v_one.occurred_at;
            END IF;
            CONTINUE;
        END IF;
        IF v_tally.result_at IS NULL THEN
            v_tally.score := internal.clamp(v_one.points + v_points);
            v_tally.tiebreak := internal.clamp(v_one.tiebreak + v_tiebreak);
            v_tally.result_at := v_one.occurred_at;
        ELSIF (v_one.points + v_points, v_one.tiebreak + v_tiebreak) <> (v_held.points, v_held.tiebreak) THEN
            EXIT; -- the result that follows changed the score
        END IF;
        v_tally.reached_at := coalesce(v_moved, v_one.occurred_at);
        EXIT WHEN v_moved IS NOT NULL;
        v_held := v_one;
        v_points := 0;
        v_tiebreak := 0;
    END LOOP;
    CLOSE v_ledger;
    IF v_tally.score IS NULL THEN
        RETURN v_tally;
    END IF;

    -- The adjustments after the first result count.
    SELECT c.occurred_at INTO v_first
    FROM internal.credits(p_board, p_player, p_run, p_start, p_end, p_gone) c
    WHERE c.kind <> 'adjustment'
    ORDER BY c.player, c.occurred_at
    LIMIT 1;
    SELECT min(c.seq) INTO v_seq
    FROM internal.credits(p_board, p_player, p_run, v_first, v_first + interval '1 microsecond', p_gone) c
    WHERE c.kind <> 'adjustment';
    SELECT min(m.n) INTO v_more FROM unnest(p_more) WITH ORDINALITY AS m (points, tiebreak, occurred_at, adjustment, n) WHERE NOT m.adjustment;
    IF v_first IS NULL OR p_more[v_more].occurred_at < v_first THEN
        v_first := p_more[v_more].occurred_at;
        v_seq := 9223372036854775807; -- greater than that of the ledger's
    ELSE
        v_more := 0;
    END IF;
    SELECT internal.clamp(coalesce(sum(c.points), 0)), internal.clamp(coalesce(sum(c.tiebreak), 0)) INTO v_tally.adj_score, v_tally.adj_tiebreak
    FROM (
        SELECT c.points, c.tiebreak
        FROM internal.credits(p_board, p_player, p_run, v_first, p_end, p_gone) c
        WHERE c.kind = 'adjustment' AND (c.occurred_at, c.seq) > (v_first, v_seq)
        UNION ALL
        SELECT m.points, m.tiebreak
        FROM unnest(p_more) WITH ORDINALITY AS m (points, tiebreak, occurred_at, adjustment, n)
        WHERE m.adjustment AND m.occurred_at >= v_first AND m.n > v_more
    ) c;
    RETURN v_tally;
END $$;
