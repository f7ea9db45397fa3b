-- Returns what the event of an entry shows: the entry's row of the ledger without its
-- metadata, null if there is none.
CREATE OR REPLACE FUNCTION internal.entry_data(p_entry uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT json_build_object('id', l.id, 'board', l.board, 'player', l.player, 'seq', l.seq, 'kind', l.kind, 'points', l.points,
            'tiebreak', l.tiebreak, 'reason', l.reason, 'note', l.note, 'actor', l.actor, 'occurred_at', l.occurred_at,
            'recorded_at', l.recorded_at, 'batch', l.batch, 'reverses', l.reverses, 'standings', l.standings)
        FROM ledger l
        WHERE l.id = p_entry);
END $$;
