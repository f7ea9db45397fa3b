-- Returns a standing with several more contributions, in the order in which they
-- occurred; null as internal.fold does. A null p_old means that there is no standing
-- yet, and no adjustment that could count in one.
CREATE OR REPLACE FUNCTION internal.fold_all(p_old internal.tally, p_more internal.contribution[], p_combine text, p_sign integer) RETURNS internal.tally
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_tally internal.tally := coalesce(p_old, (NULL, NULL, NULL, false, 0, 0, NULL)::internal.tally);
    v_one   internal.contribution;
BEGIN
    FOREACH v_one IN ARRAY p_more LOOP
        v_tally := internal.fold(v_tally, v_one, p_combine, p_sign);
        EXIT WHEN v_tally.adj_score IS NULL;
    END LOOP;
    RETURN CASE WHEN v_tally.adj_score IS NOT NULL THEN v_tally END;
END $$;
