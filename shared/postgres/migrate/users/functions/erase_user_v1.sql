-- Erases an account with all that refers to it, takes its profiles out of the
-- outbox, and reports the erasure in both kinds of message. False if there is no
-- such account. It is a function so that the service cannot delete accounts or
-- messages in any other way.
CREATE OR REPLACE FUNCTION erase_user_v1(p_id uuid, p_actor text, p_traceparent text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_old users;
    v_now timestamptz;
BEGIN
    DELETE FROM users WHERE id = p_id RETURNING * INTO v_old;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    v_now := greatest(plaudit_now(), v_old.changed_at + interval '1 microsecond');
    INSERT INTO erased_users (id, at) VALUES (p_id, v_now);
    DELETE FROM outbox WHERE kind = 'profile' AND subject = 'user/' || p_id;
    DELETE FROM outbox_failed WHERE kind = 'profile' AND subject = 'user/' || p_id;
    INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent, subjectseq)
    VALUES ('event', 'plaudit.user.erased', 'user/' || p_id, p_actor, '{}', v_now, p_traceparent, v_old.events + 1),
           ('profile', NULL, 'user/' || p_id, NULL,
            json_build_object('id', p_id, 'version', v_old.version + 1, 'display_name', NULL, 'country', NULL, 'erased', true),
            v_now + interval '1 microsecond', p_traceparent, NULL);
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION erase_user_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_user_v1 TO users_service;
