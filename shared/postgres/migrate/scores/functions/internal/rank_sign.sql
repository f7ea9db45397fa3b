-- Returns the factor that turns a score or a tiebreak into a key of standings, of
-- which the least ranks first.
CREATE OR REPLACE FUNCTION internal.rank_sign(b boards) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END $$;
