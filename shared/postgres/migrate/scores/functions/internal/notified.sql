-- Returns the user to notify of an event by mail, null for none: the player's user
-- learns what others did to their points or their status, and that others erased their
-- data. shared/event has the same rule, and a test holds the two together.
CREATE OR REPLACE FUNCTION internal.notified(p_type text, p_actor text, p_user text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_type IN ('plaudit.entry.adjusted', 'plaudit.entry.reversed', 'plaudit.player.changed', 'plaudit.player.erased') AND p_actor <> 'user/' || p_user THEN p_user END
$$;
