-- Writes entries, standings and events, all or nothing. p_boards are the items'
-- boards, sorted, p_runs the runs that they credit; p_batch is what the items have
-- in common, null for one item alone. p_renames are the items that may change the
-- name of their player.
--
-- It returns one of
--
--	{"stale": [board]}               boards of which an item has another version, as they are
--	{"cause": text, "items": [n]}    the refused items, by their index
--	{"entry": {…}, "replayed": bool} without a batch: the entry's row of the ledger
--	{"batch": uuid, "entries": [{"item", "id", "player", "points", "batch", "replayed"}]}
--	                                 of a batch: the items that are not simply what the caller
--	                                 sent, reversals and replays, in any order; null for none
--
-- and has written nothing in the first two cases; the others have also wake, which is
-- true if the caller must wake the relay. That can be true of a replay, too: the
-- caller that wrote the entry may have died before the wake. A refusal after the first write
-- ends the transaction, see internal.refuse.
--
-- Locks come in classes, each sorted, so that no two calls wait for each other:
-- boards (shared), keys, runs (shared), players, users. A statement that reads what a
-- lock protects comes after the one that takes the lock, because under READ
-- COMMITTED each sees what was committed when it began; so the steps that read
-- are VOLATILE.
--
-- Plans are generic, because planning a long statement takes longer than running
-- it, and none may read a whole table or index, however old the statistics are. So
-- every statement is driven by the items and looks each row up in a query of its
-- own (LATERAL … LIMIT 1), which cannot become a hash or merge join. A step that
-- joins a table in another way turns these joins off. The steps inherit the
-- settings of this function.
CREATE OR REPLACE FUNCTION add_entries_v3(p_boards text[], p_items add_item_v1[], p_runs add_run_v1[],
    p_actor text, p_user text, p_traceparent text, p_batch uuid, p_renames integer[])
RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_now     timestamptz;
    v_request internal.request;
    v_items   internal.item[];
    v_new     internal.item[]; -- the items that are not replayed
    v_runs    add_run_v1[] := p_runs; -- of the new items
    v_refused json;
    v_entries json;
    v_opened  internal.opened;
    v_locked  boolean := false; -- the players are
    v_beyond  boolean := false; -- a standing may break a limit
    v_changes internal.player_change[];
BEGIN
    v_now := internal.lock_boards(p_boards);
    v_request := internal.resolve_items(p_items);
    IF v_request.stale THEN
        RETURN json_build_object('stale', (
            SELECT json_agg(internal.board_json(b.board))
            FROM (SELECT DISTINCT i.board, i.version FROM unnest(p_items) i) v
            CROSS JOIN LATERAL (SELECT b AS board, b.version FROM boards b WHERE b.id = v.board LIMIT 1) b
            WHERE b.version <> v.version));
    END IF;

    v_items := v_request.items;
    IF v_request.has_reversals THEN
        v_items := internal.resolve_reversals(v_items);
    END IF;
    IF v_request.has_refused OR v_request.has_reversals THEN
        v_refused := internal.refused_items(v_items);
        IF v_refused IS NOT NULL THEN
            RETURN v_refused;
        END IF;
    END IF;

    v_new := v_items;
    IF v_request.has_keys THEN
        v_new := internal.claim_keys(v_items);
        IF cardinality(v_new) < cardinality(v_items) THEN
            v_runs := ARRAY(SELECT r FROM unnest(p_runs) r WHERE r.run_set IN (SELECT (i.sent).run_set FROM unnest(v_new) i));
        END IF;
    END IF;

    IF cardinality(v_new) > 0 THEN
        -- A run may close while the call waits for a player: then it looks again.
        LOOP
            v_opened := internal.open_runs(v_runs, v_now);
            IF v_request.has_reversals THEN
                v_opened := internal.original_runs(v_opened, v_new, v_now);
            END IF;
            IF v_opened.any_closed OR v_request.has_runless OR v_request.has_reversals THEN
                PERFORM internal.check_runs(v_new, v_opened.sets);
            END IF;
            EXIT WHEN v_locked;
            IF v_request.has_profiles OR v_opened.open_until <= v_now + interval '1 minute' THEN
                PERFORM internal.share_closing(ARRAY(SELECT i.board FROM unnest(v_new) i));
            END IF;
            v_now := internal.lock_players(v_new);
            v_locked := true;
            EXIT WHEN v_now < v_opened.open_until;
        END LOOP;

        IF v_request.has_reversals THEN
            PERFORM internal.check_reversals(v_new);
        END IF;
        IF v_request.has_profiles THEN
            PERFORM internal.check_names(v_new, p_renames);
            v_changes := internal.apply_profiles(v_new);
        END IF;
        v_new := internal.place_items(v_new, v_opened.sets);
        IF v_request.has_caps THEN
            PERFORM internal.check_daily_caps(v_new);
        END IF;
        IF v_request.has_reversals THEN
            v_beyond := internal.cancel_credits(v_new);
        END IF;
        IF internal.credit(v_new) OR v_beyond THEN
            PERFORM internal.check_ranges(v_new);
            PERFORM internal.check_floors(v_new);
        END IF;
        PERFORM internal.record_entries(v_new, p_actor, p_user, p_traceparent, p_batch);
        IF v_request.has_profiles THEN
            -- After internal.credit, which has left few copies that differ.
            PERFORM internal.follow_profiles(v_changes, v_now);
            PERFORM internal.record_profiles(v_changes, p_actor, p_traceparent);
            PERFORM internal.propose_links(v_new, p_actor, p_user, p_traceparent);
        END IF;
    END IF;

    IF p_batch IS NULL THEN
        -- A new entry and a replayed one come from the same row, so that a
        -- repeated request gets the same answer.
        RETURN (
            SELECT json_build_object('entry', row_to_json(l), 'replayed', cardinality(v_new) = 0, 'wake', internal.wake())
            FROM ledger l
            WHERE l.id = coalesce((v_new[1].sent).id, (SELECT k.entry FROM entry_keys k WHERE k.board = v_items[1].board AND k.key = (v_items[1].sent).key)));
    END IF;
    IF v_request.has_reversals OR cardinality(v_new) < cardinality(v_items) THEN
        v_entries := internal.batch_entries(v_items);
    END IF;
    RETURN json_build_object('batch', p_batch, 'entries', v_entries, 'wake', internal.wake());
END $$;

REVOKE ALL ON FUNCTION add_entries_v3 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_entries_v3 TO score_add;
