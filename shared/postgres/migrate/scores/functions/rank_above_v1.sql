-- Returns how many players of a table come before a place: if the place's player is '',
-- the strictly better ones; else also those with the same keys that come before
-- the player on a page.
CREATE OR REPLACE FUNCTION rank_above_v1(p_run bigint, p_category integer, p_value text, p_place place_v1) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT rank_between_v1(p_run, p_category, p_value,
        (-9223372036854775808, -9223372036854775808, '-infinity', '')::place_v1, p_place)
$$;

REVOKE ALL ON FUNCTION rank_above_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rank_above_v1 TO score_query;
