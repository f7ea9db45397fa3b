-- Returns a time in the form in which Go writes it: in UTC, without zeros at the end of
-- the fraction.
CREATE OR REPLACE FUNCTION internal.rfc3339(p_at timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT rtrim(rtrim(to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z'
$$;
