-- +goose Up

ALTER TABLE users
    -- Counts the changes of the password. A session opens only while it is
    -- what it was when the password was checked.
    ADD COLUMN password_version bigint NOT NULL DEFAULT 1,
    -- Of the newest profile message; consumers compare it.
    ADD COLUMN version bigint NOT NULL DEFAULT 0,
    -- recordedtime of the newest event of the account; the next is later.
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT plaudit_now(),
    -- When the account's owner was last told of failed logins.
    ADD COLUMN login_failed_at timestamptz;

-- The admin's search, by the beginning of an address or a name.
CREATE INDEX users_address_prefix ON users (email_key text_pattern_ops);
CREATE INDEX users_name_prefix ON users (lower(display_name) text_pattern_ops);

-- The newest first, in pages.
DROP INDEX sessions_user;
CREATE INDEX sessions_user ON sessions (user_id, id);

-- What stays of an account that was erased.
CREATE TABLE erased_users (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL
);

-- Messages on their way out, written with what they tell of: events for the
-- audit log, which hold ids and names of fields and no personal value, and
-- profiles, which go to the bus and into no archive.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('event', 'profile')),
    type         text,
    recordedtime timestamptz NOT NULL, -- strictly increasing per subject
    traceparent  text NOT NULL,
    subject      text NOT NULL,
    actor        text,
    data         text NOT NULL, -- JSON
    CHECK ((kind = 'event') = (type IS NOT NULL AND actor IS NOT NULL))
);

-- An erasure takes the account's profiles out.
CREATE INDEX outbox_profiles ON outbox (subject) WHERE kind = 'profile';

-- Accounts of before have told nobody their profile.
UPDATE users SET version = 1;
INSERT INTO outbox (kind, recordedtime, traceparent, subject, data)
SELECT 'profile', changed_at, '00-' || md5(random()::text || id) || '-' || left(md5(id::text), 16) || '-00', 'user/' || id,
    json_build_object('id', id, 'version', version, 'display_name', display_name, 'country', country, 'erased', false)
FROM users;

-- Erases an account with all that refers to it, takes its profiles out of the
-- outbox, and says so in both kinds of message. False where there is none. It
-- is a function so that the service may delete neither accounts nor messages
-- otherwise.
-- +goose StatementBegin
CREATE FUNCTION erase_user_v1(p_id uuid, p_actor text, p_traceparent text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    v_old  users;
    v_now  timestamptz;
BEGIN
    DELETE FROM users WHERE id = p_id RETURNING * INTO v_old;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    v_now := greatest(plaudit_now(), v_old.changed_at + interval '1 microsecond');
    INSERT INTO erased_users (id, at) VALUES (p_id, v_now);
    DELETE FROM outbox WHERE kind = 'profile' AND subject = 'user/' || p_id;
    INSERT INTO outbox (kind, type, recordedtime, traceparent, subject, actor, data)
    VALUES ('event', 'plaudit.user.erased', v_now, p_traceparent, 'user/' || p_id, p_actor, '{}'),
           ('profile', NULL, v_now + interval '1 microsecond', p_traceparent, 'user/' || p_id, NULL,
            json_build_object('id', p_id, 'version', v_old.version + 1, 'display_name', NULL, 'country', NULL, 'erased', true));
    RETURN true;
END $$;
-- +goose StatementEnd

REVOKE ALL ON erased_users, outbox FROM PUBLIC;
REVOKE ALL ON FUNCTION erase_user_v1 FROM PUBLIC;

GRANT UPDATE (display_name, locale, time_zone, country, mail, password_version, version, changed_at, login_failed_at) ON users TO users_service;
GRANT INSERT ON outbox TO users_service;
GRANT EXECUTE ON FUNCTION erase_user_v1 TO users_service;
