-- Returns whether the name and the country of a player are those of an account:
-- p_user is the player's accepted link, p_players the kind of the board's players. On
-- a board of registered players the id is that of an account.
CREATE OR REPLACE FUNCTION internal.has_account(p_user text, p_players text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT p_user IS NOT NULL OR p_players = 'registered' $$;
