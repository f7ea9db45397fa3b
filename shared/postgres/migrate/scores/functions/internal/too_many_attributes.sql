-- Returns whether these are more than 16 attributes, the limit of a player.
CREATE OR REPLACE FUNCTION internal.too_many_attributes(p_attributes jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT (SELECT count(*) FROM jsonb_object_keys(p_attributes)) > 16 $$;
