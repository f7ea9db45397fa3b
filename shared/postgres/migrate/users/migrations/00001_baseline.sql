-- +goose Up

-- From now on new functions are closed to PUBLIC: each grants what it must.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TABLE users (
    id               uuid PRIMARY KEY,
    email            text NOT NULL,        -- as its owner wrote it
    email_key        text NOT NULL UNIQUE, -- as it is compared
    email_verified   boolean NOT NULL DEFAULT false,
    password_hash    text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    -- Counts the changes of the password. A session opens only if it is still
    -- the version that was checked.
    password_version bigint NOT NULL DEFAULT 1,
    display_name     text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 80),
    role             text NOT NULL CHECK (role IN ('member', 'organizer', 'auditor', 'admin')),
    locale           text NOT NULL CHECK (locale IN ('ko', 'en')),
    time_zone        text NOT NULL,
    country          text CHECK (country ~ '^[A-Z]{2}$'),
    mail             jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(mail) = 'object'),
    created_at       timestamptz NOT NULL,
    version          bigint NOT NULL DEFAULT 0, -- of the newest profile message; consumers compare it
    changed_at       timestamptz NOT NULL,      -- recordedtime of the account's newest event; the next one is later
    login_failed_at  timestamptz                -- of the newest event about failed logins
);

-- A change of a role locks every admin.
CREATE INDEX users_admins ON users (id) WHERE role = 'admin';
-- The admin's search, by the beginning of an address or a name.
CREATE INDEX users_address_prefix ON users (email_key text_pattern_ops);
CREATE INDEX users_name_prefix ON users (lower(display_name) text_pattern_ops);

-- A session is a family of refresh tokens, of which the newest is unused. It is
-- deleted when it ends.
CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    used_at    timestamptz NOT NULL, -- login or latest refresh
    expires_at timestamptz NOT NULL
);

-- The newest first, in pages.
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32), -- SHA-256 of the token
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    used_at    timestamptz -- when it was traded in; shown again, it ends the session
);

CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_used ON refresh_tokens (used_at) WHERE used_at IS NOT NULL;

-- What limits count: one row an attempt, kept as long as a limit may ask for it.
CREATE TABLE attempts (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text NOT NULL,  -- of the limit
    subject bytea NOT NULL, -- SHA-256 of what is limited, so that an address without an account is stored nowhere
    at      timestamptz NOT NULL
);

CREATE INDEX attempts_recent ON attempts (name, subject, at DESC);
CREATE INDEX attempts_at ON attempts (at);

-- What remains of an erased account.
CREATE TABLE erased_users (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL
);

-- Messages on their way out, committed with the change that they report. The
-- table has the same columns in both databases. An event is for the audit log and
-- holds ids and names of fields, never a personal value; a profile holds a user's
-- public profile and leaves the table once it is sent.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    type         text,          -- of an event, as shared/event lists them
    subject      text,
    actor        text,
    notify       text,          -- the user to notify by mail
    entry        uuid,          -- unused in this database
    data         text,          -- JSON
    recordedtime timestamptz NOT NULL, -- strictly increasing per subject
    -- Cheaper than a regular expression: hex digits and hyphens, and no hyphen but
    -- the three.
    traceparent  text NOT NULL CHECK (traceparent LIKE '00-________________________________-________________-__'
                                  AND ltrim(traceparent, '0123456789abcdef-') = '' AND traceparent NOT LIKE '%-%-%-%-%'),
    sent_at      timestamptz,   -- null: it has yet to be sent
    CHECK (subject IS NOT NULL AND data IS NOT NULL AND entry IS NULL
       AND CASE kind WHEN 'event' THEN type IS NOT NULL AND actor IS NOT NULL WHEN 'profile' THEN type IS NULL AND actor IS NULL ELSE false END)
);

-- An erasure removes the account's profiles.
CREATE INDEX outbox_profiles ON outbox (subject) WHERE kind = 'profile';

-- API keys. They are erased with their owner.
CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    digest       bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32), -- SHA-256 of the key
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0),
    boards       text[] CHECK (cardinality(boards) BETWEEN 1 AND 100), -- null: every board of the owner
    expires_at   timestamptz, -- null: never
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz
);

-- The newest first, in pages.
CREATE INDEX api_keys_user ON api_keys (user_id, id);

REVOKE ALL ON users, sessions, refresh_tokens, attempts, erased_users, outbox, api_keys FROM PUBLIC;

GRANT SELECT, INSERT, UPDATE (role, password_hash, password_version, display_name, locale, time_zone, country, mail, version, changed_at, login_failed_at)
    ON users TO users_service;
GRANT SELECT, INSERT, UPDATE (used_at, expires_at), DELETE ON sessions TO users_service;
GRANT SELECT, INSERT, UPDATE (used_at), DELETE ON refresh_tokens TO users_service;
GRANT SELECT, INSERT, UPDATE (at), DELETE ON attempts TO users_service;
GRANT INSERT ON outbox TO users_service;
GRANT SELECT, INSERT, UPDATE (last_used_at), DELETE ON api_keys TO users_service;
