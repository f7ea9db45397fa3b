-- Keeps the rows in board_people of the boards that a statement has written, for
-- triggers of boards.
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
