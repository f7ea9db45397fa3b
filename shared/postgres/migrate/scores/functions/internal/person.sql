-- Returns the user who is an event's actor, null if the actor is an API key. It is for
-- functions of the previous release, which do not pass the owner of a key.
CREATE OR REPLACE FUNCTION internal.person(p_actor text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT substring(p_actor FROM '^user/(.+)$') $$;
