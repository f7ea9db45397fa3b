-- +goose Up

-- The database's time, in one place, so that tests can set it.
CREATE FUNCTION plaudit_now() RETURNS timestamptz
LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

CREATE TABLE users (
    id             uuid PRIMARY KEY,
    email          text NOT NULL,        -- as its owner wrote it
    email_key      text NOT NULL UNIQUE, -- as it is compared
    email_verified boolean NOT NULL DEFAULT false,
    password_hash  text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    display_name   text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 80),
    role           text NOT NULL CHECK (role IN ('member', 'organizer', 'auditor', 'admin')),
    locale         text NOT NULL CHECK (locale IN ('ko', 'en')),
    time_zone      text NOT NULL,
    country        text CHECK (country ~ '^[A-Z]{2}$'),
    mail           jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(mail) = 'object'),
    created_at     timestamptz NOT NULL DEFAULT plaudit_now()
);

-- Changing a role locks every admin.
CREATE INDEX users_admins ON users (id) WHERE role = 'admin';

-- A session is a family of refresh tokens, of which the newest is unused. It
-- ends by being deleted.
CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT plaudit_now(),
    used_at    timestamptz NOT NULL DEFAULT plaudit_now(), -- login or latest refresh
    expires_at timestamptz NOT NULL
);

CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32), -- SHA-256 of the token
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    used_at    timestamptz -- when it was traded in; shown again, it ends the session
);

CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_used ON refresh_tokens (used_at) WHERE used_at IS NOT NULL;

-- What limits count, one row an attempt, for as long as a limit may ask.
CREATE TABLE attempts (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text NOT NULL,  -- of the limit
    subject bytea NOT NULL, -- SHA-256 of whose attempt it was: an address that has no account is kept nowhere
    at      timestamptz NOT NULL DEFAULT plaudit_now()
);

CREATE INDEX attempts_recent ON attempts (name, subject, at DESC);
CREATE INDEX attempts_at ON attempts (at);

REVOKE ALL ON FUNCTION plaudit_now() FROM PUBLIC;
REVOKE ALL ON users, sessions, refresh_tokens, attempts FROM PUBLIC;

GRANT EXECUTE ON FUNCTION plaudit_now() TO users_service;
GRANT SELECT, INSERT, UPDATE (role, password_hash) ON users TO users_service;
GRANT SELECT, INSERT, UPDATE (used_at, expires_at), DELETE ON sessions TO users_service;
GRANT SELECT, INSERT, UPDATE (used_at), DELETE ON refresh_tokens TO users_service;
GRANT SELECT, INSERT, UPDATE (at), DELETE ON attempts TO users_service;
