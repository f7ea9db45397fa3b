-- Returns the fields in which two states of a player differ: {field: {from, to}} for
-- status and note; links have events of their own. An erasure cannot reach the audit log,
-- so all others, which are personal, are listed without values: {field: {}}. The names of
-- attributes are free text, and are not listed either.
CREATE OR REPLACE FUNCTION internal.player_changes(p_old jsonb, p_new jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(n.key,
        CASE WHEN n.key IN ('status', 'note') THEN jsonb_build_object('from', p_old -> n.key, 'to', n.value)
            ELSE '{}' END), '{}')
    FROM jsonb_each(p_new) n
    -- A new player has had no attributes.
    WHERE n.value IS DISTINCT FROM coalesce(p_old -> n.key, CASE n.key WHEN 'attributes' THEN '{}'::jsonb END)
$$;
