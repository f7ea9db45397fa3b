-- Ends the transaction for a reason that the client may know. Callers know it by
-- the code PA409; the message is the cause, the detail the item's index.
CREATE OR REPLACE FUNCTION internal.refuse(p_cause text, p_item integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'PA409', MESSAGE = p_cause, DETAIL = p_item;
END $$;
