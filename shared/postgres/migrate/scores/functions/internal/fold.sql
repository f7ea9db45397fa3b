-- Returns a standing with one more contribution, which has the greater seq; null if
-- that depends on contributions that the standing does not tell:
-- internal.recombine reads them. A null score means that there is no result yet;
-- reached_at is then when the latest adjustment other than 0 occurred.
CREATE OR REPLACE FUNCTION internal.fold(a internal.tally, b internal.contribution, p_combine text, p_sign integer) RETURNS internal.tally
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_nonzero boolean := b.points <> 0 OR b.tiebreak <> 0;
    v_order   integer; -- of the contribution against the best result: -1 is better
BEGIN
    IF p_combine = 'last' THEN
        IF a.score IS NULL AND b.adjustment THEN
            RETURN a; -- it changes nothing that is there
        ELSIF a.score IS NOT NULL AND b.occurred_at < a.result_at THEN
            RETURN NULL;
        ELSIF b.adjustment THEN
            a.score := a.score + b.points;
            a.tiebreak := a.tiebreak + b.tiebreak;
            IF v_nonzero THEN
                a.reached_at := greatest(a.reached_at, b.occurred_at);
            END IF;
        ELSIF b.occurred_at < a.reached_at THEN
            RETURN NULL; -- a later adjustment is added to it
        ELSE
            IF a.score IS NULL OR (a.score, a.tiebreak) <> (b.points, b.tiebreak) THEN
                a.reached_at := b.occurred_at;
            END IF;
            a.score := b.points;
            a.tiebreak := b.tiebreak;
            a.result_at := b.occurred_at;
        END IF;
    ELSIF p_combine = 'best' THEN
        IF b.adjustment THEN
            a.score := a.score + b.points;
            a.tiebreak := a.tiebreak + b.tiebreak;
            IF v_nonzero THEN
                a.reached_at := greatest(a.reached_at, b.occurred_at);
                a.nonzero := true;
            END IF;
        ELSIF a.score IS NULL THEN
            a.score := b.points + a.adj_score;
            a.tiebreak := b.tiebreak + a.adj_tiebreak;
            a.reached_at := greatest(a.reached_at, b.occurred_at);
        ELSE
            v_order := CASE WHEN (p_sign * b.points, p_sign * b.tiebreak) < (p_sign * (a.score - a.adj_score), p_sign * (a.tiebreak - a.adj_tiebreak)) THEN -1
                WHEN (b.points, b.tiebreak) = (a.score - a.adj_score, a.tiebreak - a.adj_tiebreak) THEN 0 ELSE 1 END;
            IF v_order <= 0 AND b.occurred_at < a.reached_at THEN
                IF a.nonzero THEN
                    RETURN NULL; -- an adjustment may lie between it and the best so far
                END IF;
                a.reached_at := b.occurred_at;
            ELSIF v_order < 0 THEN
                a.reached_at := b.occurred_at;
            END IF;
            IF v_order < 0 THEN
                a.score := b.points + a.adj_score;
                a.tiebreak := b.tiebreak + a.adj_tiebreak;
            END IF;
        END IF;
    ELSE
        -- A sum is reached at the latest contribution that changed it, else at the
        -- earliest.
        IF a.score IS NULL OR v_nonzero AND NOT a.nonzero THEN
            a.reached_at := b.occurred_at;
        ELSIF v_nonzero = a.nonzero THEN
            a.reached_at := CASE WHEN v_nonzero THEN greatest(a.reached_at, b.occurred_at) ELSE least(a.reached_at, b.occurred_at) END;
        END IF;
        a.score := coalesce(a.score, 0) + b.points;
        a.tiebreak := coalesce(a.tiebreak, 0) + b.tiebreak;
        a.nonzero := a.nonzero OR v_nonzero;
    END IF;
    IF b.adjustment THEN
        a.adj_score := a.adj_score + b.points;
        a.adj_tiebreak := a.adj_tiebreak + b.tiebreak;
    END IF;
    RETURN a;
END $$;
