-- Ends the transaction for a reason that the client may know. Callers know it by
-- the code PA409; the message is the cause, the detail the item's index, with that
-- of another item before it if the two contradict each other. A name goes into the
-- field of a column's name, which the server does not write into its log.
CREATE OR REPLACE FUNCTION internal.refuse(p_cause text, p_item integer, p_other integer DEFAULT NULL, p_name text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'PA409', MESSAGE = p_cause, DETAIL = concat_ws(',', p_other, p_item), COLUMN = coalesce(p_name, '');
END $$;
