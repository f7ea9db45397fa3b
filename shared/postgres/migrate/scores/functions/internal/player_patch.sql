-- Returns a player after a patch of display_name, country, status, note and attributes.
-- Attributes change one by one; `user` is a matter of internal.change_links. p_state is
-- the player after the previous patches, null for the first patch: it is the state of an
-- aggregate.
CREATE OR REPLACE FUNCTION internal.player_patch(p_state jsonb, p_player jsonb, p_patch jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_old jsonb := coalesce(p_state, p_player);
    v_new jsonb := v_old || (p_patch - '{attributes,user}'::text[]);
BEGIN
    IF jsonb_typeof(p_patch -> 'attributes') = 'null' THEN
        RETURN v_new || '{"attributes": {}}';
    ELSIF p_patch ? 'attributes' THEN
        RETURN v_new || jsonb_build_object('attributes', jsonb_strip_nulls((v_old -> 'attributes') || (p_patch -> 'attributes')));
    END IF;
    RETURN v_new;
END $$;
