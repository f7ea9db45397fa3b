-- Returns the key of the advisory lock under which proposals to a user are counted, and
-- the boards that the user creates.
CREATE OR REPLACE FUNCTION internal.user_lock(p_user text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended('user/' || p_user, 0) $$;
