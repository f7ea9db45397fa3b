-- +goose Up

-- A link says that a player is a user. An owner proposes it, and it is in force from
-- the moment in which the user accepts: only then is user_id the user. The newest
-- proposal stays when it is accepted or declined; the user may still change their mind.
ALTER TABLE players
    ADD COLUMN proposed_user text,
    ADD COLUMN proposed_by   text,        -- the user who proposed it; null: unknown
    ADD COLUMN proposed_at   timestamptz,
    ADD COLUMN link_state    text;        -- proposed, accepted, declined; null: no proposal

-- A user's links, whatever their state.
CREATE INDEX players_proposed ON players (proposed_user, board, id) WHERE proposed_user IS NOT NULL;

-- Who refused to be which player, so that nobody proposes it to them again.
CREATE TABLE link_refusals (
    board   integer NOT NULL,
    player  text COLLATE "C" NOT NULL,
    user_id text NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (board, player, user_id)
);
CREATE INDEX link_refusals_user ON link_refusals (user_id);

-- The proposals of the last day, which are limited for each user.
CREATE TABLE link_proposals (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL,
    at      timestamptz NOT NULL
);
CREATE INDEX link_proposals_user ON link_proposals (user_id, at);

REVOKE ALL ON link_refusals, link_proposals FROM PUBLIC;

-- Until now nobody was asked. On a board of registered players the link followed from
-- the player's id; there the user still reads their own player.
UPDATE players p SET
    proposed_user = CASE WHEN b.players = 'any' OR p.user_id <> p.id THEN p.user_id END,
    proposed_at = CASE WHEN b.players = 'any' OR p.user_id <> p.id THEN now() END,
    link_state = CASE WHEN b.players = 'any' OR p.user_id <> p.id THEN 'proposed' END,
    user_id = NULL
FROM boards b
WHERE b.no = p.board AND p.user_id IS NOT NULL;
