-- Writes the items into the ledger, with the scores that they left, and their
-- events into the outbox. Entries of a draft notify nobody. A player's id that no account
-- can have, by its length, needs no look at the board.
CREATE OR REPLACE FUNCTION internal.record_entries(p_items internal.item[], p_actor text, p_user text, p_traceparent text, p_batch uuid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    WITH entry AS (
        INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, reason, note, actor, occurred_at, recorded_at,
            batch, reverses, metadata, runs, scores)
        SELECT (i.sent).id, i.board, i.player, i.seq, i.kind, i.points, i.tiebreak, (i.sent).reason, (i.sent).note, p_actor, (i.sent).occurred_at, i.recorded_at,
            p_batch, (i.sent).reverses, (i.sent).metadata, i.runs,
            ARRAY(SELECT (SELECT s.score FROM standings s WHERE s.run = c.run AND s.player = i.player)
                  FROM unnest(i.runs) WITH ORDINALITY AS c (run, n)
                  ORDER BY c.n)
        FROM unnest(p_items) i
    )
    INSERT INTO outbox (kind, type, notify, entry, recordedtime, traceparent, extensions, batch_size)
    SELECT 'event', internal.entry_event(i.kind), internal.opened_notified(i.board, internal.entry_event(i.kind), p_user, i.user_id), (i.sent).id, i.recorded_at, p_traceparent,
        CASE WHEN i.user_id IS NOT NULL OR length(i.player) = 36 THEN internal.player_extensions(i.board, i.player, i.user_id) END,
        CASE WHEN p_batch IS NOT NULL THEN cardinality(p_items) END
    FROM unnest(p_items) i
    ORDER BY i.item;
END $$;
