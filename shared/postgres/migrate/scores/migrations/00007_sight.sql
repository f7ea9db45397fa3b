-- +goose Up

-- On a board of registered players, a player belongs to the user whose id it has,
-- even if no link says so: it is in that user's own lists. Such ids are UUIDs, which
-- have 36 characters; most others are shorter.
CREATE INDEX players_registered ON players (id, board) WHERE length(id) = 36;
GRANT SELECT (players) ON boards TO score_query;
