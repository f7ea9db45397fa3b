-- Returns the fields in which two states of a player differ: {field: {from, to}}.
-- Name, country and attributes are personal, and an erasure cannot reach the audit log,
-- so they are listed without values, as {}. So are the names of attributes, which are
-- free text.
CREATE OR REPLACE FUNCTION internal.player_changes(p_old jsonb, p_new jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(n.key,
        CASE WHEN n.key IN ('display_name', 'country', 'attributes') THEN '{}'
            ELSE jsonb_build_object('from', p_old -> n.key, 'to', n.value) END), '{}')
    FROM jsonb_each(p_new) n
    -- A new player has had no attributes.
    WHERE n.value IS DISTINCT FROM coalesce(p_old -> n.key, CASE n.key WHEN 'attributes' THEN '{}'::jsonb END)
$$;
