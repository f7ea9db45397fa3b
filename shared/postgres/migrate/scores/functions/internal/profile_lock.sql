-- Returns the key of the advisory lock of a user's profile. A new version of the profile
-- takes it alone. A writer that gives a player a user shares it until the commit, so that the
-- players who are theirs before a new version are found after it, and those who become
-- theirs later have it. It comes after the locks of boards and players.
CREATE OR REPLACE FUNCTION internal.profile_lock(p_user text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended('profile/' || p_user, 0) $$;
