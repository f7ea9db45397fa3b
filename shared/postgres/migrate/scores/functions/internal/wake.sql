-- Returns whether the caller must wake the relay after the commit: its promise to poll the
-- outbox is over. Call it after the last row of the outbox is written. A transaction that
-- finds the promise in force commits before the relay stops polling, see extend_lease_v1.
CREATE OR REPLACE FUNCTION internal.wake() RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT plaudit_now() >= l.until FROM relay_lease l);
END $$;
