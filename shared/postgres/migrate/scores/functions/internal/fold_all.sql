-- Returns a standing with several more credits, in their order. A null p_old means
-- that there is no standing yet.
CREATE OR REPLACE FUNCTION internal.fold_all(p_old internal.credit, p_credits internal.credit[], p_combine text, p_sign integer) RETURNS internal.credit
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_credit internal.credit;
BEGIN
    FOREACH v_credit IN ARRAY p_credits LOOP
        p_old := coalesce(internal.fold(p_old, v_credit, p_combine, p_sign), v_credit);
    END LOOP;
    RETURN p_old;
END $$;
