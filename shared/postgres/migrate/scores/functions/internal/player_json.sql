-- Returns a player in the form that patches apply to.
CREATE OR REPLACE FUNCTION internal.player_json(p players) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('display_name', p.display_name, 'country', p.country,
        'status', p.status, 'note', p.note, 'attributes', p.attributes)
$$;
