-- +goose Up

-- The devices that have logged in to an account. Failed logins with a device's
-- token are counted by the token, so that nobody else's failures keep its holder
-- out.
CREATE TABLE devices (
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32), -- SHA-256 of the token
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    used_at    timestamptz NOT NULL, -- latest login
    expires_at timestamptz NOT NULL
);

-- The least recently used goes when an account has too many.
CREATE INDEX devices_user ON devices (user_id, used_at);
CREATE INDEX devices_expiry ON devices (expires_at);

REVOKE ALL ON devices FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE (used_at, expires_at), DELETE ON devices TO users_service;

-- All refresh tokens of a session begin with the same secret. A token that begins
-- with it and is not the newest has been used before, so used tokens need no rows of
-- their own. Null: no token of the session has been traded in since the column
-- exists. Rows of refresh_tokens with a used_at are from before, or from a task of
-- the previous release; they stay as long as their session.
ALTER TABLE sessions ADD COLUMN family bytea CHECK (octet_length(family) = 32); -- SHA-256 of the secret
CREATE UNIQUE INDEX sessions_family ON sessions (family);
GRANT UPDATE (family) ON sessions TO users_service;

-- The least recently used session ends when an account has too many.
CREATE INDEX sessions_used ON sessions (user_id, used_at);
