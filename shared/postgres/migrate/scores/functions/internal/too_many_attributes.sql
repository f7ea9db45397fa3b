-- Whether a player would have more than 16 attributes.
CREATE OR REPLACE FUNCTION internal.too_many_attributes(p_attributes jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT (SELECT count(*) FROM jsonb_object_keys(p_attributes)) > 16 $$;
