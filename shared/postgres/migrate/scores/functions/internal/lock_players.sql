-- Locks the players of the items, creates new ones, and counts the items in their
-- seq and recorded_at, which are those of the last item afterwards. It returns the
-- time after the last wait.
CREATE OR REPLACE FUNCTION internal.lock_players(p_items internal.item[]) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO players AS p (board, id, seq, recorded_at)
    SELECT i.board, i.player, count(*), plaudit_now() + (count(*) - 1) * interval '1 microsecond'
    FROM unnest(p_items) i
    GROUP BY i.board, i.player
    ORDER BY i.board, i.player
    ON CONFLICT (board, id) DO UPDATE SET
        seq = p.seq + excluded.seq,
        recorded_at = greatest(plaudit_now(), p.recorded_at + interval '1 microsecond') + (excluded.seq - 1) * interval '1 microsecond';
    RETURN plaudit_now();
END $$;
