-- Returns the user to notify of a change on a board, see internal.notified; null
-- while the board is a draft. It looks the board up only if somebody is to be
-- notified.
CREATE OR REPLACE FUNCTION internal.opened_notified(p_board integer, p_type text, p_person text, p_user text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_user text := internal.notified(p_type, p_person, p_user);
BEGIN
    IF v_user IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT CASE WHEN b.opened_at IS NOT NULL THEN v_user END FROM boards b WHERE b.no = p_board);
END $$;
