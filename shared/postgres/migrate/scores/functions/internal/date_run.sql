-- Sets when a new run closes, for a trigger of runs.
CREATE OR REPLACE FUNCTION internal.date_run() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    NEW.closes_at := (SELECT internal.run_closes_at(b, NEW.end_at) FROM boards b WHERE b.no = NEW.board);
    RETURN NEW;
END $$;
