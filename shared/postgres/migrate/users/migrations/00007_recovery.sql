-- +goose Up

-- That somebody asked for a link that resets the password of an account. A link is made
-- only while the request is pending.
CREATE TABLE password_reset_requests (
    user_id    uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

CREATE INDEX password_reset_requests_expiry ON password_reset_requests (expires_at);

-- The links that reset the password of an account. A row is made when a link is sent,
-- and deleted when the password or the address changes or the account is erased.
CREATE TABLE password_resets (
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32), -- SHA-256 of the link's token
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

CREATE INDEX password_resets_user ON password_resets (user_id);
CREATE INDEX password_resets_expiry ON password_resets (expires_at);

-- The address that an account has asked for. It becomes the account's when a link that
-- was sent there is opened. It is not unique, because nobody owns an address by asking
-- for it.
CREATE TABLE new_emails (
    user_id    uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    email      text NOT NULL, -- as its owner wrote it
    email_key  text NOT NULL, -- as it is compared
    expires_at timestamptz NOT NULL,
    waits      boolean NOT NULL DEFAULT false -- a link was asked for the present address since
);

CREATE INDEX new_emails_expiry ON new_emails (expires_at);

-- The verified address that an account had before its latest change, which mail about the
-- change goes to.
CREATE TABLE former_emails (
    user_id    uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    email      text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE INDEX former_emails_expiry ON former_emails (expires_at);

REVOKE ALL ON password_reset_requests, password_resets, new_emails, former_emails FROM PUBLIC;

-- The sweep locks the rows that it deletes, which needs UPDATE on a column.
GRANT SELECT, INSERT, UPDATE (expires_at), DELETE ON password_reset_requests, password_resets TO users_service;
GRANT SELECT, INSERT, UPDATE (email, email_key, expires_at, waits), DELETE ON new_emails TO users_service;
GRANT SELECT, INSERT, UPDATE (email, expires_at), DELETE ON former_emails TO users_service;
GRANT UPDATE (email, email_key) ON users TO users_service;
