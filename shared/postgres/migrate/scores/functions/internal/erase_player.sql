-- Erases what a player's row and entries say about a person: name, country, attributes,
-- the status note, the link, and the entries' metadata. Refusals of the link stay: they
-- protect those who refused, and otherwise an owner could ask them again. If p_user is
-- given, it erases only a player who is that user. p_person is who acts, see
-- internal.notified. The caller holds the board's lock.
--
-- A player can have a million entries, so one call clears the metadata of at most
-- p_limit, in the order of their ids after p_after. It returns {more, after, wake}: while there
-- is more, call it again with this p_after. Null, as in the first call, is always valid,
-- but may read what was cleared. wake is true if the caller
-- must wake the relay. It returns null if there is no such player.
--
-- The name goes last, so that no erasure looks complete before it is. The call that
-- clears the last metadata also clears the rest and writes the event, while the player is
-- locked: nothing that was there before is left then, and a repeated erasure finds either
-- something to clear or a player whose event has been written.
CREATE OR REPLACE FUNCTION internal.erase_player(p_board boards, p_player text, p_user text, p_after uuid, p_limit integer, p_actor text, p_person text, p_traceparent text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_row    players;
    v_now    timestamptz;
    v_new    players;
    v_ids    uuid[]; -- of entries with metadata
    v_more   boolean;
    v_after  uuid;
    v_erased jsonb;
BEGIN
    PERFORM internal.share_closing(ARRAY[p_board.no]);
    SELECT * INTO v_row FROM players WHERE board = p_board.no AND id = p_player FOR UPDATE;
    IF NOT FOUND OR p_user IS NOT NULL AND v_row.user_id IS DISTINCT FROM p_user AND NOT (p_board.players = 'registered' AND v_row.id = p_user) THEN
        RETURN NULL;
    END IF;
    v_now := plaudit_now(); -- after the last wait: what is closed is decided now

    v_ids := ARRAY(
        SELECT e.id FROM entries e
        WHERE e.board = p_board.no AND e.player = v_row.id AND e.metadata IS NOT NULL AND e.id > coalesce(p_after, '00000000-0000-0000-0000-000000000000')
        ORDER BY e.id
        LIMIT p_limit + 1);
    v_more := cardinality(v_ids) > p_limit;
    v_ids := v_ids[:p_limit];
    UPDATE entries SET metadata = NULL WHERE id = ANY (v_ids);
    IF v_more THEN
        v_after := v_ids[p_limit];
    ELSIF p_after IS NOT NULL THEN
        -- Ids are not in the order in which entries are added.
        v_more := (SELECT e.id FROM entries e WHERE e.board = p_board.no AND e.player = v_row.id AND e.metadata IS NOT NULL ORDER BY e.id LIMIT 1) IS NOT NULL;
    END IF;
    IF v_more THEN
        RETURN jsonb_build_object('more', true, 'after', v_after);
    END IF;

    SELECT jsonb_object_agg(f.name, '{}'::jsonb) INTO v_erased
    FROM (VALUES
        ('display_name', v_row.display_name IS NOT NULL),
        ('country', v_row.country IS NOT NULL),
        ('attributes', v_row.attributes <> '{}'),
        ('note', v_row.note IS NOT NULL),
        ('user', num_nonnulls(v_row.user_id, v_row.proposed_user, v_row.proposed_by, v_row.proposed_at, v_row.link_state) > 0),
        ('metadata', cardinality(v_ids) > 0)) AS f (name, had)
    WHERE f.had;
    IF v_erased IS NULL THEN
        RETURN jsonb_build_object('more', false, 'wake', internal.wake()); -- of the first one, which may have died before
    END IF;

    UPDATE players SET
        display_name = NULL, country = NULL, attributes = '{}', cat1 = NULL, cat2 = NULL, cat3 = NULL, cat4 = NULL, note = NULL,
        user_id = NULL, proposed_user = NULL, proposed_by = NULL, proposed_at = NULL, link_state = NULL,
        recorded_at = greatest(plaudit_now(), v_row.recorded_at + interval '1 microsecond'), events = events + 1
    WHERE board = p_board.no AND id = v_row.id
    RETURNING * INTO v_new;
    PERFORM internal.follow_players(ARRAY[p_board.no], ARRAY[v_row.id], v_now);
    PERFORM internal.report_player('plaudit.player.erased', p_board.id, v_new, p_actor,
        internal.opened_notified(p_board.no, 'plaudit.player.erased', p_person, v_row.user_id), jsonb_build_object('changes', v_erased), p_traceparent);
    RETURN jsonb_build_object('more', false, 'wake', internal.wake());
END $$;
