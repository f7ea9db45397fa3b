-- Returns a standing with one more credit, which has the greater seq. Credits
-- combine to the same standing in any order; internal.recombine computes it from all
-- of them at once.
CREATE OR REPLACE FUNCTION internal.fold(a internal.credit, b internal.credit, p_combine text, p_sign integer) RETURNS internal.credit
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    CASE p_combine
    WHEN 'sum' THEN
        -- The latest credit that changed the score, else the earliest.
        IF a.nonzero = b.nonzero THEN
            a.reached_at := CASE WHEN a.nonzero THEN greatest(a.reached_at, b.reached_at) ELSE least(a.reached_at, b.reached_at) END;
        ELSIF b.nonzero THEN
            a.reached_at := b.reached_at;
        END IF;
        a.score := a.score + b.score;
        a.tiebreak := a.tiebreak + b.tiebreak;
        a.nonzero := a.nonzero OR b.nonzero;
        RETURN a;
    WHEN 'best' THEN
        IF (p_sign * b.score, p_sign * b.tiebreak, b.reached_at) < (p_sign * a.score, p_sign * a.tiebreak, a.reached_at) THEN
            RETURN b;
        END IF;
        RETURN a;
    WHEN 'last' THEN
        IF b.reached_at >= a.reached_at THEN
            RETURN b;
        END IF;
        RETURN a;
    END CASE;
END $$;
