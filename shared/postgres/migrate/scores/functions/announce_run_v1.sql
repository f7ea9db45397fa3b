-- Writes the event of a closed run for which settle_run_v1 has returned due, once, and
-- returns {state, wake}: announced, done or busy as there, and whether the caller must
-- wake the relay.
--
-- The event has the first ten of the final table, in the order and with the ranks of a page
-- of it, and how many are ranked in it. The board's owners are told by mail, and the users
-- who have accepted to be the players on ranks 1 to 3 of these ten; nobody, if the run closed because a
-- draft was opened, in that moment.
CREATE OR REPLACE FUNCTION announce_run_v1(p_run bigint, p_traceparent text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_run     runs;
    v_board   boards;
    v_of      bigint;
    v_top     jsonb;
    v_players text[]; -- on ranks 1 to 3
    v_notify  text;
BEGIN
    SELECT * INTO STRICT v_run FROM runs WHERE no = p_run;
    SELECT * INTO STRICT v_board FROM boards WHERE no = v_run.board;
    v_of := rank_of_v1(p_run);
    SELECT coalesce(jsonb_agg(jsonb_build_object('rank', t.rank, 'player', t.player, 'score', t.score) ORDER BY t.n), '[]'),
        array_agg(t.player) FILTER (WHERE t.rank <= 3)
    INTO v_top, v_players
    FROM (
        SELECT f.player, f.score, rank() OVER (ORDER BY f.key_score, f.key_tiebreak, f.key_reached) AS rank,
            row_number() OVER (ORDER BY f.key_score, f.key_tiebreak, f.key_reached, f.player) AS n
        FROM (
            SELECT s.player, s.score, s.key_score, s.key_tiebreak, s.key_reached
            FROM standings s
            WHERE s.run = p_run AND s.status = 'ranked'
            ORDER BY s.key_score, s.key_tiebreak, s.key_reached, s.player
            LIMIT 10
        ) f
    ) t;

    IF NOT internal.lock_board_alone(v_board.id) THEN
        RETURN '{"state": "busy", "wake": false}';
    END IF;
    IF NOT internal.is_due(p_run) THEN
        -- Of another call at the same time, which may have died before the wake.
        RETURN jsonb_build_object('state', 'done', 'wake', internal.wake());
    END IF;
    UPDATE boards b SET changed_at = greatest(plaudit_now(), b.changed_at + interval '1 microsecond'), events = b.events + 1
    WHERE b.no = v_run.board
    RETURNING * INTO v_board;
    UPDATE runs SET announced_at = v_board.changed_at WHERE no = p_run;
    IF internal.run_closes_at(v_board, v_run.end_at) <> v_board.opened_at THEN
        v_notify := (
            SELECT string_agg(n.id, ',' ORDER BY n.id COLLATE "C")
            FROM (
                SELECT unnest(v_board.owners) AS id
                UNION
                SELECT p.user_id
                FROM unnest(v_players) AS t (player)
                CROSS JOIN LATERAL (SELECT p.user_id FROM players p WHERE p.board = v_board.no AND p.id = t.player COLLATE "C" LIMIT 1) p
            ) n);
    END IF;
    PERFORM internal.report_board('plaudit.board.period-closed', v_board, 'service/period-close', v_notify,
        jsonb_build_object('of', v_of, 'top', v_top,
            'period', jsonb_build_object('name', v_run.period, 'start', internal.rfc3339(v_run.start_at), 'end', internal.rfc3339(v_run.end_at))),
        p_traceparent);
    RETURN jsonb_build_object('state', 'announced', 'wake', internal.wake());
END $$;

REVOKE ALL ON FUNCTION announce_run_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION announce_run_v1 TO period_close;
