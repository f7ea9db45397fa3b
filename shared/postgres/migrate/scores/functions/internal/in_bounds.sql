-- Returns whether JavaScript represents the numbers of a tally exactly: score and
-- tiebreak, and the sum of the adjustments alone.
CREATE OR REPLACE FUNCTION internal.in_bounds(t internal.tally) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT internal.in_range(coalesce(t.score, 0)) AND internal.in_range(coalesce(t.tiebreak, 0))
       AND internal.in_range(t.adj_score) AND internal.in_range(t.adj_tiebreak)
$$;
