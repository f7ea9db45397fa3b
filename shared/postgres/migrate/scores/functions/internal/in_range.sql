-- Returns whether JavaScript represents a score or a tiebreak exactly.
CREATE OR REPLACE FUNCTION internal.in_range(p_number bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT p_number BETWEEN -9007199254740991 AND 9007199254740991 $$;
