-- Returns how many players are ranked in a table.
CREATE OR REPLACE FUNCTION rank_of_v1(p_run bigint, p_category integer DEFAULT 0, p_value text DEFAULT NULL) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT rank_above_v1(p_run, p_category, p_value,
        (9223372036854775807, 9223372036854775807, 'infinity', '')::place_v1)
$$;

REVOKE ALL ON FUNCTION rank_of_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rank_of_v1 TO score_query;
