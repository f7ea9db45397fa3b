-- Numbers an event of an account, for a trigger of outbox. The account's row, which
-- counts, is locked already. An erasure numbers its event itself, because the row is gone
-- then; the functions of the previous release do not.
CREATE OR REPLACE FUNCTION internal.number_event() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE users u SET events = u.events + 1
    WHERE u.id = CASE WHEN NEW.subject ~ '^user/[0-9a-f-]{36}$' THEN substr(NEW.subject, 6)::uuid END
    RETURNING u.events INTO NEW.subjectseq;
    RETURN NEW;
END $$;
