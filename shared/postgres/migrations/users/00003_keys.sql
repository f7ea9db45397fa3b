-- +goose Up

-- API keys. They go with their owner.
CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    digest       bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32), -- SHA-256 of the key
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0),
    boards       text[] CHECK (cardinality(boards) BETWEEN 1 AND 100), -- null: every board of the owner
    expires_at   timestamptz, -- null: never
    created_at   timestamptz NOT NULL DEFAULT plaudit_now(),
    last_used_at timestamptz
);

-- The newest first, in pages.
CREATE INDEX api_keys_user ON api_keys (user_id, id);

REVOKE ALL ON api_keys FROM PUBLIC;

GRANT SELECT, INSERT, UPDATE (last_used_at), DELETE ON api_keys TO users_service;
