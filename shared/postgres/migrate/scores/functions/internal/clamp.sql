-- Returns a sum as a bigint. A sum that no bigint holds becomes one that is out of
-- range too, and is refused like it.
CREATE OR REPLACE FUNCTION internal.clamp(p_sum numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_sum IS NOT NULL THEN greatest(least(p_sum, 4611686018427387904), -4611686018427387904)::bigint END
$$;
