-- Returns the key of a board's advisory lock. Adds share the lock; a change of the board
-- and the closing of a run take it alone. The key is made of the id, because a
-- lock that is found through a row is taken after the row was read.
CREATE OR REPLACE FUNCTION internal.board_lock(p_id text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended('board/' || p_id, 0) $$;
