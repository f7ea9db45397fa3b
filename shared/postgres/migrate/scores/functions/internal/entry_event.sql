-- Returns the type of an entry's event. shared/event has the same rule, and a test
-- holds the two together.
CREATE OR REPLACE FUNCTION internal.entry_event(p_kind text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT 'plaudit.entry.' || CASE p_kind WHEN 'adjustment' THEN 'adjusted' WHEN 'import' THEN 'imported' WHEN 'reversal' THEN 'reversed' ELSE 'added' END
$$;
