-- Returns a user's profile, a row of nulls if there is none, and keeps its version until
-- the end of the transaction.
CREATE OR REPLACE FUNCTION internal.profile_of(p_user text) RETURNS profiles
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_row profiles;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(internal.profile_lock(p_user));
    SELECT * INTO v_row FROM profiles WHERE user_id = p_user;
    RETURN v_row;
END $$;
