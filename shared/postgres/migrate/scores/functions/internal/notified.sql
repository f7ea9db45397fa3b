-- Returns the user to notify of an event by mail, null for none: p_user, the player's
-- user, learns what others do to their points, their status, their link and their data.
-- p_person is who acts: of an API key, its owner. shared/event has the same rule, and a
-- test holds the two together.
CREATE OR REPLACE FUNCTION internal.notified(p_type text, p_person text, p_user text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_type IN ('plaudit.entry.adjusted', 'plaudit.entry.reversed', 'plaudit.player.changed', 'plaudit.player.erased', 'plaudit.player.link-proposed', 'plaudit.player.link-ended')
        AND p_person IS DISTINCT FROM p_user THEN p_user END
$$;
