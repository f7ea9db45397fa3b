-- Returns how many players of a table are at or after one place and before another.
-- Every rank comes from here. The table is that of a run or, if p_category is 1 to
-- 4, of the run's players with the value in this category of the board. Each table
-- has an index of its own and so a statement of its own, in PL/pgSQL, which keeps
-- their plans.
CREATE OR REPLACE FUNCTION rank_between_v1(p_run bigint, p_category integer, p_value text, p_from place_v1, p_to place_v1) RETURNS bigint
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    CASE p_category
    WHEN 0 THEN RETURN (
        SELECT count(*) FROM standings WHERE run = p_run AND status = 'ranked'
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    WHEN 1 THEN RETURN (
        SELECT count(*) FROM standings WHERE run = p_run AND status = 'ranked' AND cat1 = p_value
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    WHEN 2 THEN RETURN (
        SELECT count(*) FROM standings WHERE run = p_run AND status = 'ranked' AND cat2 = p_value
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    WHEN 3 THEN RETURN (
        SELECT count(*) FROM standings WHERE run = p_run AND status = 'ranked' AND cat3 = p_value
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    WHEN 4 THEN RETURN (
        SELECT count(*) FROM standings WHERE run = p_run AND status = 'ranked' AND cat4 = p_value
          AND (key_score, key_tiebreak, key_reached, player) >= (p_from.score, p_from.tiebreak, p_from.reached, p_from.player)
          AND (key_score, key_tiebreak, key_reached, player) < (p_to.score, p_to.tiebreak, p_to.reached, p_to.player));
    END CASE;
END $$;

REVOKE ALL ON FUNCTION rank_between_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rank_between_v1 TO score_query;
