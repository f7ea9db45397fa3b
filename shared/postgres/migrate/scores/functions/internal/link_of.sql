-- Locks and returns the player of a board, if the player was proposed to be the user.
-- The user knows nothing of drafts.
CREATE OR REPLACE FUNCTION internal.link_of(p_board text, p_player text, p_user text) RETURNS players
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_row players;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(internal.board_lock(p_board));
    SELECT p.* INTO v_row
    FROM boards b
    JOIN players p ON p.board = b.no
    WHERE b.id = p_board AND b.state <> 'draft' AND p.id = p_player COLLATE "C" AND p.proposed_user = p_user
    FOR UPDATE OF p;
    RETURN v_row;
END $$;
