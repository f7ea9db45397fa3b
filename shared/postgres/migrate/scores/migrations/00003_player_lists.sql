-- +goose Up

-- Copies of a player's values of the board's categories, in their order, for lists of
-- the players of a value and of the values themselves. A player's status and name are
-- listed too.
--
-- The functions of the previous version do not set the copies. If one of them changes
-- an attribute while this migration runs or before the new functions are there,
-- `plaudit boards check` reports the player, and the next change of an attribute
-- corrects the copies.
ALTER TABLE players
    ADD COLUMN cat1 text COLLATE "C",
    ADD COLUMN cat2 text COLLATE "C",
    ADD COLUMN cat3 text COLLATE "C",
    ADD COLUMN cat4 text COLLATE "C";

UPDATE players p
SET cat1 = p.attributes ->> b.categories[1], cat2 = p.attributes ->> b.categories[2],
    cat3 = p.attributes ->> b.categories[3], cat4 = p.attributes ->> b.categories[4]
FROM boards b
WHERE b.no = p.board AND cardinality(b.categories) > 0 AND p.attributes <> '{}';

-- With the status, so that the index alone leaves out hidden players.
CREATE INDEX players_cat1 ON players (board, cat1, id) INCLUDE (status) WHERE cat1 IS NOT NULL;
CREATE INDEX players_cat2 ON players (board, cat2, id) INCLUDE (status) WHERE cat2 IS NOT NULL;
CREATE INDEX players_cat3 ON players (board, cat3, id) INCLUDE (status) WHERE cat3 IS NOT NULL;
CREATE INDEX players_cat4 ON players (board, cat4, id) INCLUDE (status) WHERE cat4 IS NOT NULL;
-- Most players are ranked, and found by their ids.
CREATE INDEX players_status ON players (board, status, id) WHERE status <> 'ranked';
CREATE INDEX players_name ON players (board, (lower(display_name)) COLLATE "C", id) WHERE display_name IS NOT NULL;
