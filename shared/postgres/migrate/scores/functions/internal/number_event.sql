-- Numbers an event of a board or a player that its writer has not numbered, for a trigger
-- of outbox. Only functions of the previous release leave that to it. The row that counts
-- is locked already.
CREATE OR REPLACE FUNCTION internal.number_event() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_seq        bigint;
    v_extensions text;
BEGIN
    IF split_part(NEW.subject, '/', 3) = '' THEN
        UPDATE boards b SET events = b.events + 1
        WHERE b.id = split_part(NEW.subject, '/', 2)
        RETURNING b.events, internal.board_extensions(b) INTO v_seq, v_extensions;
    ELSE
        UPDATE players p SET events = p.events + 1
        FROM boards b
        WHERE b.id = split_part(NEW.subject, '/', 2) AND p.board = b.no AND p.id = split_part(NEW.subject, '/', 4)
        RETURNING p.events, internal.player_extensions(p.board, p.id, p.user_id) INTO v_seq, v_extensions;
    END IF;
    UPDATE outbox SET subjectseq = v_seq, extensions = v_extensions WHERE id = NEW.id;
    RETURN NULL;
END $$;
