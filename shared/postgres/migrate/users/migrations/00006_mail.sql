-- +goose NO TRANSACTION
-- +goose Up

-- What mail needs to know of an account. Each statement can be repeated, and none of them
-- locks the table for longer than a moment.
ALTER TABLE users
    ADD COLUMN IF NOT EXISTS mail_state  text, -- why the address gets no mail; null: it does
    ADD COLUMN IF NOT EXISTS mail_secret uuid; -- signs the account's links that end mail; null until the first one
GRANT UPDATE (mail_state, mail_secret) ON users TO users_service;

-- The rows that are there have no state, and the constraint need not look for one.
ALTER TABLE users DROP CONSTRAINT IF EXISTS users_mail_state_check;
ALTER TABLE users ADD CONSTRAINT users_mail_state_check CHECK (mail_state IN ('bounced', 'complained')) NOT VALID;
ALTER TABLE users VALIDATE CONSTRAINT users_mail_state_check;
