-- Returns the key of the advisory lock under which the proposals to a user are counted.
CREATE OR REPLACE FUNCTION internal.user_lock(p_user text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended('user/' || p_user, 0) $$;
