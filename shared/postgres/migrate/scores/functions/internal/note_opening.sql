-- Notes a draft that was opened, for a trigger of boards: date_runs_v1 then sets when its
-- runs close.
CREATE OR REPLACE FUNCTION internal.note_opening() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO opened_boards (board) VALUES (NEW.no) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
