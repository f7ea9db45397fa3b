-- Shares the locks of the boards, which are sorted, and returns the time after the
-- last wait: a session that closes a run takes the lock alone.
CREATE OR REPLACE FUNCTION internal.lock_boards(p_boards text[]) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_board text;
BEGIN
    FOREACH v_board IN ARRAY p_boards LOOP
        -- An expression takes a tenth of the time that PERFORM takes.
        IF pg_advisory_xact_lock_shared(internal.board_lock(v_board)) IS NULL THEN
        END IF;
    END LOOP;
    RETURN plaudit_now();
END $$;
