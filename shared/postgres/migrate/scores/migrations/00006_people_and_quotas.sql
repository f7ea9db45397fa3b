-- +goose Up

-- The boards of a person are limited by who created them, and not by the lists of
-- owners: an owner could otherwise use up somebody else's quota, or hand boards to
-- somebody else and go on. Of an older board with one owner it is most likely them;
-- of any other board nobody knows.
ALTER TABLE boards ADD COLUMN created_by text; -- the user; null: unknown, and counts for nobody
UPDATE boards SET created_by = owners[1] WHERE cardinality(owners) = 1;
CREATE INDEX boards_created_by ON boards (created_by) WHERE created_by IS NOT NULL;

-- The attempts of the last hour to create a board with an id that is taken, which
-- are limited for each user.
CREATE TABLE board_refusals (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL,
    at      timestamptz NOT NULL
);
CREATE INDEX board_refusals_user ON board_refusals (user_id, at);
CREATE INDEX board_refusals_at ON board_refusals (at);

-- A search finds boards by their ids first, and then by their titles those whose id
-- does not begin with the text: those that have fewer characters in common than it.
-- Ids are mostly made of titles, so that a title alone finds few of those that it
-- matches.
CREATE OR REPLACE FUNCTION internal.in_common(p_one text, p_other text) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT count(*)::integer FROM generate_series(1, least(length(p_one), length(p_other))) n WHERE left(p_one, n) = left(p_other, n)
$$;
ALTER TABLE boards ADD COLUMN in_common integer NOT NULL GENERATED ALWAYS AS (internal.in_common(id, lower(title))) STORED;
DROP INDEX boards_public_title, boards_title;
CREATE INDEX boards_public_title ON boards (in_common, (lower(title)) COLLATE "C", id) WHERE public AND state IN ('open', 'closed');
CREATE INDEX boards_title ON boards (in_common, (lower(title)) COLLATE "C", id) WHERE state <> 'archived';
CREATE INDEX boards_listed ON boards (id) WHERE state <> 'archived';

-- The boards that list a user as owner, writer or viewer. A user may be listed on any
-- number of boards, by anybody; a page of their boards is a range of an index here, and
-- whether one board lists them is one look-up, however long its lists are.
CREATE TABLE board_people (
    board     integer NOT NULL,
    user_id   text NOT NULL,
    archived  boolean NOT NULL,
    public    boolean NOT NULL,          -- anybody may read the board
    id        text COLLATE "C" NOT NULL, -- of the board
    title     text COLLATE "C" NOT NULL, -- of the board, in lower case
    in_common integer NOT NULL,          -- as in boards
    PRIMARY KEY (board, user_id)
);
CREATE INDEX board_people_ids ON board_people (user_id, public, id) WHERE NOT archived;
CREATE INDEX board_people_titles ON board_people (user_id, public, in_common, title, id) WHERE NOT archived;

-- Triggers, because the functions of the previous version write boards until the new
-- ones are there. functions/internal/list_people.sql replaces this body right after
-- the migrations.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION internal.list_people() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM board_people p USING written w WHERE p.board = w.no;
    END IF;
    INSERT INTO board_people (board, user_id, archived, public, id, title, in_common)
    SELECT DISTINCT w.no, p.user_id, w.state = 'archived', w.public AND w.state <> 'draft', w.id, lower(w.title), w.in_common
    FROM written w
    CROSS JOIN unnest(w.owners || w.writers || w.viewers) AS p (user_id);
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER boards_created AFTER INSERT ON boards
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION internal.list_people();
CREATE TRIGGER boards_updated AFTER UPDATE ON boards
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION internal.list_people();

INSERT INTO board_people (board, user_id, archived, public, id, title, in_common)
SELECT DISTINCT b.no, p.user_id, b.state = 'archived', b.public AND b.state <> 'draft', b.id, lower(b.title), b.in_common
FROM boards b
CROSS JOIN unnest(b.owners || b.writers || b.viewers) AS p (user_id);

-- Lists of the previous version read all boards without this index and with other
-- indexes on titles, until that version is gone.
DROP INDEX boards_people;

REVOKE ALL ON board_refusals, board_people FROM PUBLIC;
GRANT SELECT ON board_people TO score_query;
GRANT SELECT (in_common) ON boards TO score_query;
