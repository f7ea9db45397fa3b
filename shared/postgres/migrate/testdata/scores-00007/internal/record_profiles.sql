-- Writes the events of changed players into the outbox, each later than the
-- player's entries.
CREATE OR REPLACE FUNCTION internal.record_profiles(p_changes internal.player_change[], p_actor text, p_traceparent text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    WITH changed AS (
        UPDATE players p
        SET recorded_at = p.recorded_at + interval '1 microsecond'
        FROM unnest(p_changes) c
        WHERE p.board = c.board AND p.id = c.player
        RETURNING p.board, p.id, p.recorded_at, c.old, c.new
    )
    INSERT INTO outbox (kind, type, subject, actor, data, recordedtime, traceparent)
    SELECT 'event', 'plaudit.player.changed', 'board/' || b.id || '/player/' || c.id, p_actor,
        jsonb_build_object('changes', internal.player_changes(c.old, c.new))::text, c.recorded_at, p_traceparent
    FROM changed c
    JOIN boards b ON b.no = c.board
    ORDER BY c.board, c.id;
END $$;
