-- Moves the end of the relay's promise to at least p_by after now, and returns how long
-- that is from now. From the end on, writers wake the relay. Those that found the promise
-- in force before may commit later than its end, by as long as a writer takes: so long
-- the relay goes on polling.
CREATE OR REPLACE FUNCTION extend_lease_v1(p_by interval) RETURNS interval
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_until timestamptz;
BEGIN
    UPDATE relay_lease SET until = greatest(until, plaudit_now() + p_by) RETURNING until INTO STRICT v_until;
    RETURN v_until - plaudit_now();
END $$;

REVOKE ALL ON FUNCTION extend_lease_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION extend_lease_v1 TO outbox_relay;
