-- Puts an event of a player of the board p_board into the outbox. p_player is the row
-- after the change, which has counted the event in `events` and set recorded_at. The data
-- is stored as text, so that later versions of the product send the same bytes.
CREATE OR REPLACE FUNCTION internal.report_player(p_type text, p_board text, p_player players, p_actor text, p_notify text, p_data jsonb, p_traceparent text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO outbox (kind, type, subject, actor, notify, data, recordedtime, traceparent, subjectseq, extensions)
    VALUES ('event', p_type, 'board/' || p_board || '/player/' || p_player.id, p_actor, p_notify, p_data::text, p_player.recorded_at, p_traceparent,
        p_player.events, internal.player_extensions(p_player.board, p_player.id, p_player.user_id));
END $$;
