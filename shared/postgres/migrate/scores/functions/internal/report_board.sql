-- Puts an event of a board into the outbox. p_board is the row after the change, which
-- has counted the event in `events` and set changed_at. p_notify is who is told by mail,
-- null for nobody. The data is stored as text, so that later versions of the product send
-- the same bytes.
CREATE OR REPLACE FUNCTION internal.report_board(p_type text, p_board boards, p_actor text, p_notify text, p_data jsonb, p_traceparent text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO outbox (kind, type, subject, actor, notify, data, recordedtime, traceparent, subjectseq, extensions)
    VALUES ('event', p_type, 'board/' || p_board.id, p_actor, p_notify, p_data::text, p_board.changed_at, p_traceparent,
        p_board.events, internal.board_extensions(p_board));
END $$;
