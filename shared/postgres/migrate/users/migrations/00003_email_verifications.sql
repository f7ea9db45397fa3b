-- +goose Up

-- The links that verify the address of an account. A row is made when a link is
-- sent, and deleted when the address is verified or the account erased.
CREATE TABLE email_verifications (
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32), -- SHA-256 of the link's token
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    email_key  text NOT NULL, -- the account's when the link was made; it verifies no other address
    expires_at timestamptz NOT NULL
);

CREATE INDEX email_verifications_user ON email_verifications (user_id);
CREATE INDEX email_verifications_expiry ON email_verifications (expires_at);

REVOKE ALL ON email_verifications FROM PUBLIC;

-- The sweep locks the rows that it deletes, which needs UPDATE on a column.
GRANT SELECT, INSERT, UPDATE (expires_at), DELETE ON email_verifications TO users_service;
GRANT UPDATE (email_verified) ON users TO users_service;
