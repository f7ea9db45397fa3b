-- Waits until nobody writes into a run that has closed, and returns
--
--	due    it is not announced yet: from now on nothing changes in its table
--	done   it is announced, or not closed
--	busy   others hold the board's lock; call it again later
--
-- Adds, reversals and changes of players share the board's lock, and ask the clock after
-- they have it. So when this function has had the lock alone after the run closed, all
-- who found the run open have committed, and all others find it closed. It is a
-- transaction of its own, so that nobody waits while the table is read and counted.
CREATE OR REPLACE FUNCTION settle_run_v1(p_run bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT internal.lock_board_alone((SELECT b.id FROM runs r JOIN boards b ON b.no = r.board WHERE r.no = p_run)) THEN
        RETURN 'busy';
    END IF;
    RETURN CASE WHEN internal.is_due(p_run) THEN 'due' ELSE 'done' END;
END $$;

REVOKE ALL ON FUNCTION settle_run_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_run_v1 TO period_close;
