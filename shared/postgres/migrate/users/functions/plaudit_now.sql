-- Returns the database's time, in one place, so that tests can replace it.
CREATE OR REPLACE FUNCTION plaudit_now() RETURNS timestamptz
LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

REVOKE ALL ON FUNCTION plaudit_now FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plaudit_now TO users_service;
