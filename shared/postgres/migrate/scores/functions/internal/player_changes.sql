-- Returns the fields in which two states of a player differ, {field: {from, to}}. For
-- a player with an account (p_account), name and country are listed without values, because an
-- erasure cannot reach the audit log.
CREATE OR REPLACE FUNCTION internal.player_changes(p_old jsonb, p_new jsonb, p_account boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(n.key,
        CASE WHEN n.key IN ('display_name', 'country') AND p_account THEN '{}'
            ELSE jsonb_build_object('from', p_old -> n.key, 'to', n.value) END), '{}')
    FROM jsonb_each(p_new) n
    WHERE n.value IS DISTINCT FROM p_old -> n.key
$$;
