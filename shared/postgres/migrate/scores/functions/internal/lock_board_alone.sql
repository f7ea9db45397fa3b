-- Takes the lock of a board alone until the transaction ends, and returns whether it has
-- it: it waits for a moment only, because everybody else waits behind it. The time is
-- shorter than the server takes to look for deadlocks.
CREATE OR REPLACE FUNCTION internal.lock_board_alone(p_board text) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET lock_timeout = '300ms'
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(internal.board_lock(p_board));
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;
