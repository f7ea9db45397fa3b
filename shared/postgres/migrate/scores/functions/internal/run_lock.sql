-- Returns the key of a run's advisory lock, for runs that are about to close. A session
-- that may write into the run shares the lock, from before it asks the clock
-- until it has committed. A session that reads the run just after it closed
-- waits for them (settle_v1), so that a table that was seen closed never changes.
CREATE OR REPLACE FUNCTION internal.run_lock(p_board integer, p_period text, p_start timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT hashtextextended('run/' || p_board || '/' || p_period || '/' || extract(epoch FROM p_start), 0) $$;
