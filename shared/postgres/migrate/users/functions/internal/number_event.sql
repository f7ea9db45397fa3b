-- Numbers an event of an account, for a trigger of outbox. The account's row, which
-- counts, is locked already. An erasure numbers its event itself, because the row is gone
-- then; that of the previous release does not, and may still be at work.
CREATE OR REPLACE FUNCTION internal.number_event() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE users u SET events = u.events + 1
    WHERE u.id = CASE WHEN NEW.subject ~ '^user/[0-9a-f-]{36}$' THEN substr(NEW.subject, 6)::uuid END
    RETURNING u.events INTO NEW.subjectseq;
    IF NEW.subjectseq IS NULL AND NEW.type = 'plaudit.user.erased' THEN
        NEW.subjectseq := coalesce((SELECT max(o.subjectseq) FROM outbox o WHERE o.subject = NEW.subject AND o.kind = 'event'), 0) + 1;
    END IF;
    RETURN NEW;
END $$;
