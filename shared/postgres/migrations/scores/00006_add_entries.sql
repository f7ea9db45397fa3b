-- +goose Up

-- Writes entries, standings and events, all or nothing. p_boards are the items'
-- boards, sorted, p_versions the versions by which the items were made, p_batch
-- what they have in common: null where there is one item alone.
--
-- Locks come in classes, each sorted, so that no two calls wait for each
-- other: boards (shared), keys, runs of periods (shared), players. A statement that
-- reads what a lock protects comes after the one that takes the lock, because
-- under READ COMMITTED each sees what was committed when it began.
--
-- Generic plans, because planning a long statement takes longer than running
-- it; and none that scans a table or an index, whatever the statistics of
-- yesterday say. Every statement is driven by the items and probes indexes: by
-- nested loops alone, and where a key comes from two places, in a query of its
-- own (LIMIT 1), or else half of the key might be looked up.
-- +goose StatementBegin
CREATE FUNCTION add_entries_v1(p_boards text[], p_versions bigint[], p_items add_item_v1[], p_spans span_v1[], p_actor text, p_traceparent text, p_batch uuid) RETURNS SETOF added_v1
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    c_max constant bigint := 9007199254740991;
    v_now       timestamptz;
    v_board     text;
    v_nos       integer[]; -- of p_boards
    v_items     add_item_v1[];
    v_fresh     add_item_v1[]; -- the items that are not replayed
    v_stale     boolean;
    v_keys      boolean;
    v_refused   boolean;
    v_reversals boolean;
    v_profiles  boolean;
    v_capped    boolean;
    v_spans     integer[]; -- the numbers of those of v_fresh, null for all
    v_open      open_v1[]; -- by the number of the spans
    v_missing   boolean;
    v_until     timestamptz; -- when the first of the open periods closes
    v_locked    boolean := false; -- the players are
    v_beyond    boolean;
    v_i         add_item_v1;
    v_found     record;
    v_item      integer;
    v_players   players[]; -- by the numbers of the items
    v_boards    integer[]; -- of players that change
    v_ids       text[];
    v_changes   jsonb[];
    v_number    bigint;
    v_b         boards;
    v_p         players;
    v_sign      integer;
    v_period    bigint;
    v_periods   bigint[];
    v_credit    credit_v1;
    v_new       credit_v1;
    v_scores    bigint[];
BEGIN
    FOREACH v_board IN ARRAY p_boards LOOP
        -- An expression, which takes a tenth of what PERFORM takes.
        IF pg_advisory_xact_lock_shared(board_lock_v1(v_board)) IS NULL THEN
        END IF;
    END LOOP;
    -- Whoever closes a period has the lock alone.
    v_now := plaudit_now();

    SELECT array_agg(b.no ORDER BY v.n), bool_or(b.version <> v.version) INTO v_nos, v_stale
    FROM unnest(p_boards, p_versions) WITH ORDINALITY AS v (id, version, n)
    JOIN boards b ON b.id = v.id COLLATE "C";

    IF v_stale THEN
        RETURN QUERY
        SELECT NULL::integer, 'stale', board_json_v1(b), NULL::uuid, NULL, NULL::bigint, NULL::uuid
        FROM unnest(p_boards, p_versions) AS v (id, version)
        JOIN boards b ON b.id = v.id COLLATE "C"
        WHERE b.version <> v.version;
        RETURN;
    END IF;

    IF cardinality(p_items) = 1 THEN
        -- The same by expressions, which start at once.
        v_i := p_items[1];
        v_i.board := v_nos[1];
        v_i.who := 1;
        v_i.nth := 1;
        v_i.rest := 0;
        v_items := ARRAY[v_i];
        v_keys := v_i.key IS NOT NULL;
        v_refused := v_i.refused;
        v_reversals := v_i.reverses IS NOT NULL;
        v_profiles := v_i.profile IS NOT NULL;
        v_capped := v_i.day_start IS NOT NULL;
    ELSE
        v_items := numbered_v1(p_items, v_nos);
        SELECT bool_or(i.key IS NOT NULL), bool_or(i.refused), bool_or(i.reverses IS NOT NULL), bool_or(i.profile IS NOT NULL),
            bool_or(i.day_start IS NOT NULL)
        INTO v_keys, v_refused, v_reversals, v_profiles, v_capped
        FROM unnest(v_items) i;
    END IF;

    IF v_reversals THEN
        FOR v_found IN
            SELECT i.item + 1 AS n, e.id IS NOT NULL AS found, e.player, e.points, e.tiebreak, e.kind, e.occurred_at, e.periods, e.reversed
            FROM unnest(v_items) i
            LEFT JOIN LATERAL (
                SELECT e.*, EXISTS (SELECT FROM entries r WHERE r.reverses = e.id) AS reversed
                FROM entries e
                WHERE e.id = i.reverses AND e.board = i.board
                LIMIT 1) e ON true
            WHERE i.reverses IS NOT NULL
        LOOP
            IF NOT v_found.found THEN
                v_refused := true;
                CONTINUE;
            END IF;
            v_i := v_items[v_found.n];
            v_i.player := v_found.player;
            v_i.kind := 'reversal';
            v_i.points := - v_found.points;
            v_i.tiebreak := - v_found.tiebreak;
            v_i.credited := v_found.periods;
            v_i.reversed := v_found.reversed OR v_found.kind = 'reversal';
            v_i.counted_at := CASE WHEN v_found.kind IN ('result', 'import') THEN v_found.occurred_at END;
            v_items[v_found.n] := v_i;
        END LOOP;
    END IF;

    -- What can be refused before anything is written: a key that belongs to
    -- another request; an entry that is not there, or an item that its board
    -- refuses, unless it is a replay. All items with the first of these.
    IF v_refused THEN
        RETURN QUERY
        SELECT x.item, CASE x.cause WHEN 1 THEN 'key-reused' WHEN 2 THEN 'no-entry' ELSE 'refused' END, NULL::jsonb,
            NULL::uuid, NULL, NULL::bigint, NULL::uuid
        FROM (
            SELECT x.item, x.cause, min(x.cause) OVER () AS first
            FROM (
                SELECT i.item, CASE WHEN k.entry IS NOT NULL THEN 1 WHEN i.player IS NULL THEN 2 ELSE 3 END AS cause
                FROM unnest(v_items) i
                LEFT JOIN entry_keys k ON k.board = i.board AND k.key = i.key
                WHERE k.digest <> decode(i.digest, 'hex') OR k.entry IS NULL AND (i.refused OR i.player IS NULL)
            ) x
        ) x
        WHERE x.cause = x.first
        ORDER BY x.item;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    v_fresh := v_items;
    IF v_keys THEN
        INSERT INTO entry_keys (board, key, digest, entry)
        SELECT i.board, i.key, decode(i.digest, 'hex'), i.id
        FROM unnest(v_items) i
        WHERE i.key IS NOT NULL
        ORDER BY i.board, i.key
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS v_number = ROW_COUNT;

        IF v_number < cardinality(v_items) THEN
            SELECT i.item INTO v_item
            FROM unnest(v_items) i
            JOIN entry_keys k ON k.board = i.board AND k.key = i.key
            WHERE k.digest <> decode(i.digest, 'hex')
            ORDER BY i.item
            LIMIT 1;
            IF FOUND AND v_number = 0 THEN
                RETURN NEXT (v_item, 'key-reused', NULL, NULL, NULL, NULL, NULL)::added_v1;
                RETURN;
            ELSIF FOUND THEN
                PERFORM refuse_v1('key-reused', v_item);
            END IF;
            v_fresh := ARRAY(
                SELECT i
                FROM unnest(v_items) i
                LEFT JOIN entry_keys k ON k.board = i.board AND k.key = i.key
                WHERE i.key IS NULL OR k.entry = i.id
                ORDER BY i.item);
            v_spans := ARRAY(SELECT i.spans FROM unnest(v_fresh) i);
        END IF;
    END IF;

    IF cardinality(v_fresh) > 1 AND (v_reversals OR cardinality(v_fresh) < cardinality(v_items)) THEN
        v_fresh := numbered_v1(v_fresh, v_nos);
    ELSIF cardinality(v_fresh) = 1 THEN
        v_i := v_fresh[1];
        v_i.who := 1;
        v_i.nth := 1;
        v_i.rest := 0;
        v_fresh := ARRAY[v_i];
    END IF;

    IF cardinality(v_fresh) > 0 THEN
        -- Which periods are credited, and in which a credit is cancelled.
        -- It is decided again when a player's row was waited for until one of
        -- them closed.
        LOOP
            LOOP
                SELECT array_agg((c.periods, c.shut)::open_v1 ORDER BY c.spans), bool_or(c.missing), coalesce(min(c.until), 'infinity')
                INTO v_open, v_missing, v_until
                FROM (
                    SELECT s.spans, array_agg(s.no ORDER BY s.n) FILTER (WHERE s.closes > v_now) AS periods,
                        bool_or(s.closes <= v_now) AS shut, bool_or(s.no IS NULL AND s.closes > v_now AND (v_spans IS NULL OR s.spans = ANY (v_spans))) AS missing,
                        min(s.closes) FILTER (WHERE s.closes > v_now) AS until
                    FROM (
                        SELECT s.spans, s.n, coalesce(s."end", 'infinity') + b.grace AS closes, q.no
                        FROM unnest(p_spans) WITH ORDINALITY AS s (spans, board, name, start, "end", n)
                        JOIN boards b ON b.no = v_nos[s.board]
                        LEFT JOIN LATERAL (
                            SELECT q.no FROM periods q
                            WHERE q.board = b.no AND q.name = s.name AND q.start_at = coalesce(s.start, '-infinity')
                            LIMIT 1) q ON true
                    ) s
                    GROUP BY s.spans
                ) c;
                IF v_reversals THEN
                    SELECT v_open || array_agg((c.periods, c.shut)::open_v1 ORDER BY c.spans), least(v_until, min(c.until))
                    INTO v_open, v_until
                    FROM (
                        SELECT s.spans, array_agg(s.no ORDER BY s.n) FILTER (WHERE s.closes > v_now) AS periods,
                            bool_or(s.closes <= v_now) AS shut, min(s.closes) FILTER (WHERE s.closes > v_now) AS until
                        FROM (
                            SELECT i.spans, c.n, q.end_at + b.grace AS closes, q.no
                            FROM unnest(v_items) i
                            CROSS JOIN LATERAL unnest(i.credited) WITH ORDINALITY AS c (no, n)
                            JOIN periods q ON q.no = c.no
                            JOIN boards b ON b.no = i.board
                        ) s
                        GROUP BY s.spans
                    ) c;
                END IF;
                FOREACH v_i IN ARRAY v_fresh LOOP
                    IF v_i.reversed THEN
                        PERFORM refuse_v1('reversed', v_i.item);
                    ELSIF (v_open[v_i.spans]).periods IS NULL OR (v_open[v_i.spans]).shut AND NOT v_i.late THEN
                        PERFORM refuse_v1('closed', v_i.item);
                    END IF;
                END LOOP;
                EXIT WHEN v_missing IS NOT TRUE;

                INSERT INTO periods (board, name, start_at, end_at)
                SELECT DISTINCT b.no, s.name, coalesce(s.start, '-infinity'), coalesce(s."end", 'infinity')
                FROM unnest(p_spans) s
                JOIN boards b ON b.no = v_nos[s.board]
                WHERE coalesce(s."end", 'infinity') + b.grace > v_now
                  AND (v_spans IS NULL OR s.spans = ANY (v_spans))
                  AND (SELECT p.no FROM periods p
                       WHERE p.board = b.no AND p.name = s.name AND p.start_at = coalesce(s.start, '-infinity')) IS NULL
                ORDER BY 1, 2, 3
                ON CONFLICT DO NOTHING;
            END LOOP;
            EXIT WHEN v_locked;

            IF v_profiles OR v_until <= v_now + interval '1 minute' THEN
                PERFORM share_closing_v1(v_nos);
            END IF;
            WITH locked AS (
                INSERT INTO players AS p (board, id, seq, recorded_at, user_id)
                SELECT i.board, i.player, i.rest + 1, plaudit_now() + i.rest * interval '1 microsecond', i.user_id
                FROM unnest(v_fresh) i
                WHERE i.nth = 1
                ORDER BY i.board, i.player
                ON CONFLICT (board, id) DO UPDATE SET
                    seq = p.seq + excluded.seq,
                    recorded_at = greatest(plaudit_now(), p.recorded_at + interval '1 microsecond')
                                + (excluded.seq - 1) * interval '1 microsecond'
                RETURNING p.*
            )
            SELECT array_agg(p::players ORDER BY p.board, p.id) INTO v_players FROM locked p;
            v_locked := true;
            v_now := plaudit_now();
            EXIT WHEN v_now < v_until;
        END LOOP;

        IF v_reversals THEN
            -- Somebody may have reversed it since it was looked at, or this
            -- call does so twice.
            SELECT i.item INTO v_item
            FROM (
                SELECT i.item, i.reverses, row_number() OVER (PARTITION BY i.reverses ORDER BY i.item) AS times
                FROM unnest(v_fresh) i
                WHERE i.reverses IS NOT NULL
            ) i
            WHERE i.times > 1 OR (SELECT r.id FROM entries r WHERE r.reverses = i.reverses) IS NOT NULL
            ORDER BY i.item
            LIMIT 1;
            IF FOUND THEN
                PERFORM refuse_v1('reversed', v_item);
            END IF;
        END IF;

        IF v_profiles THEN
            WITH folded AS MATERIALIZED (
                SELECT p.board, p.id, min(i.item) AS item, player_json_v1(p) AS old,
                    player_patch_all_v1(player_json_v1(p), i.profile ORDER BY i.item) AS new
                FROM unnest(v_fresh) i
                JOIN players p ON p.board = i.board AND p.id = i.player
                WHERE i.profile IS NOT NULL
                GROUP BY p.board, p.id
            ), changed AS (
                UPDATE players p
                SET display_name = f.new ->> 'display_name', country = f.new ->> 'country', user_id = f.new ->> 'user',
                    attributes = f.new -> 'attributes'
                FROM folded f
                WHERE p.board = f.board AND p.id = f.id AND f.new <> f.old
                RETURNING p.board, p.id, p.attributes, f.item, f.old, f.new
            )
            SELECT min(c.item) FILTER (WHERE (SELECT count(*) FROM jsonb_object_keys(c.attributes)) > 16),
                array_agg(c.board), array_agg(c.id), array_agg(player_changes_v1(c.old, c.new))
            INTO v_item, v_boards, v_ids, v_changes
            FROM changed c;
            IF v_item IS NOT NULL THEN
                -- The first item with which that player has too many.
                SELECT x.item INTO v_item
                FROM (
                    SELECT i.item, player_patch_all_v1(player_json_v1(v_players[i.who]), i.profile) OVER (PARTITION BY i.who ORDER BY i.item) AS state
                    FROM unnest(v_fresh) i
                    WHERE i.profile IS NOT NULL AND i.who = (SELECT f.who FROM unnest(v_fresh) f WHERE f.item = v_item)
                ) x
                WHERE (SELECT count(*) FROM jsonb_object_keys(x.state -> 'attributes')) > 16
                ORDER BY x.item
                LIMIT 1;
                PERFORM refuse_v1('attributes', v_item);
            END IF;
            PERFORM follow_players_v1(v_boards, v_ids, v_now);
            v_players := ARRAY(
                SELECT p FROM unnest(v_players) w JOIN players p ON p.board = w.board AND p.id = w.id ORDER BY p.board, p.id);
        END IF;

        IF v_capped THEN
            PERFORM check_daily_caps_v1(v_fresh);
        END IF;
        IF v_reversals THEN
            PERFORM cancel_credits_v1(v_fresh, v_open);
        END IF;

        IF cardinality(v_fresh) = 1 AND NOT v_reversals THEN
            -- What most calls do. Starting the long statements below takes
            -- longer than running them: these make the same of one item.
            v_i := v_fresh[1];
            SELECT * INTO v_b FROM boards WHERE no = v_i.board;
            v_p := v_players[1];
            v_sign := CASE v_b."order" WHEN 'desc' THEN -1 ELSE 1 END;
            v_periods := (v_open[v_i.spans]).periods;
            FOREACH v_period IN ARRAY v_periods LOOP
                v_new := (v_i.points, v_i.tiebreak, v_i.occurred_at, v_i.points <> 0 OR v_i.tiebreak <> 0)::credit_v1;
                SELECT s.score, s.tiebreak, s.reached_at, s.moved INTO v_credit
                FROM standings s
                WHERE s.period = v_period AND s.player = v_i.player;
                IF FOUND THEN
                    v_credit := fold_v1(v_credit, v_new, v_b.combine, v_sign);
                ELSE
                    v_credit := v_new;
                END IF;
                IF v_credit.score NOT BETWEEN -c_max AND c_max THEN
                    PERFORM refuse_v1('range', v_i.item);
                ELSIF v_credit.tiebreak NOT BETWEEN -c_max AND c_max THEN
                    PERFORM refuse_v1('tiebreak-range', v_i.item);
                END IF;
                INSERT INTO standings (period, player, score, tiebreak, reached_at, moved, status, cat1, cat2, cat3, cat4,
                    key_score, key_tiebreak, key_reached)
                VALUES (v_period, v_i.player, v_credit.score, v_credit.tiebreak, v_credit.reached_at, v_credit.moved, v_p.status,
                    v_p.attributes ->> v_b.categories[1], v_p.attributes ->> v_b.categories[2],
                    v_p.attributes ->> v_b.categories[3], v_p.attributes ->> v_b.categories[4],
                    v_sign * v_credit.score, v_sign * v_credit.tiebreak, CASE v_b.ties WHEN 'first' THEN v_credit.reached_at ELSE '-infinity' END)
                ON CONFLICT (period, player) DO UPDATE SET
                    score = excluded.score, tiebreak = excluded.tiebreak, reached_at = excluded.reached_at, moved = excluded.moved,
                    status = excluded.status, cat1 = excluded.cat1, cat2 = excluded.cat2, cat3 = excluded.cat3, cat4 = excluded.cat4,
                    key_score = excluded.key_score, key_tiebreak = excluded.key_tiebreak, key_reached = excluded.key_reached;
                v_scores := v_scores || v_credit.score;
            END LOOP;
            INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, reason, note, actor, occurred_at, recorded_at,
                batch, metadata, periods, scores)
            VALUES (v_i.id, v_i.board, v_i.player, v_p.seq, v_i.kind, v_i.points, v_i.tiebreak, v_i.reason, v_i.note, p_actor, v_i.occurred_at,
                v_p.recorded_at, p_batch, v_i.metadata, v_periods, v_scores);
            INSERT INTO outbox (type, recordedtime, traceparent, entry, notify)
            VALUES (entry_event_v1(v_i.kind), v_p.recorded_at, p_traceparent, v_i.id, entry_notify_v1(v_i.kind, p_actor, v_p.user_id));
        ELSE
            WITH written AS (
                INSERT INTO standings (period, player, score, tiebreak, reached_at, moved, status, cat1, cat2, cat3, cat4,
                    key_score, key_tiebreak, key_reached)
                SELECT n.period, n.player, (n.credit).score, (n.credit).tiebreak, (n.credit).reached_at, (n.credit).moved, n.status,
                    n.attributes ->> n.categories[1], n.attributes ->> n.categories[2],
                    n.attributes ->> n.categories[3], n.attributes ->> n.categories[4],
                    n.sign * (n.credit).score, n.sign * (n.credit).tiebreak,
                    CASE n.ties WHEN 'first' THEN (n.credit).reached_at ELSE '-infinity' END
                FROM (
                    SELECT n.period, n.player, n.sign, n.ties, n.categories, (v_players[n.who]).status, (v_players[n.who]).attributes,
                        CASE WHEN o.score IS NULL THEN n.credit
                            ELSE fold_v1((o.score, o.tiebreak, o.reached_at, o.moved)::credit_v1, n.credit, n.combine, n.sign) END AS credit
                    FROM (
                        SELECT c.period, i.who, i.player, b.combine, b.ties, b.categories, b.sign,
                            fold_all_v1((i.points, i.tiebreak, i.occurred_at, i.points <> 0 OR i.tiebreak <> 0)::credit_v1, b.combine, b.sign
                                ORDER BY i.item) AS credit
                        FROM unnest(v_fresh) i
                        CROSS JOIN LATERAL (
                            SELECT *, CASE "order" WHEN 'desc' THEN -1 ELSE 1 END AS sign FROM boards WHERE no = i.board LIMIT 1) b
                        CROSS JOIN LATERAL unnest((v_open[i.spans]).periods) AS c (period)
                        WHERE i.reverses IS NULL
                        GROUP BY c.period, i.who, i.player, b.combine, b.ties, b.categories, b.sign
                    ) n
                    LEFT JOIN LATERAL (
                        SELECT * FROM standings o WHERE o.period = n.period AND o.player = n.player LIMIT 1) o ON true
                    ORDER BY n.period, n.who -- as they are locked everywhere, by player
                    OFFSET 0
                ) n
                ON CONFLICT (period, player) DO UPDATE SET
                    score = excluded.score, tiebreak = excluded.tiebreak, reached_at = excluded.reached_at, moved = excluded.moved,
                    status = excluded.status, cat1 = excluded.cat1, cat2 = excluded.cat2, cat3 = excluded.cat3, cat4 = excluded.cat4,
                    key_score = excluded.key_score, key_tiebreak = excluded.key_tiebreak, key_reached = excluded.key_reached
                RETURNING score, tiebreak
            )
            SELECT bool_or(score NOT BETWEEN -c_max AND c_max OR tiebreak NOT BETWEEN -c_max AND c_max) INTO v_beyond FROM written;

            IF v_beyond OR v_reversals THEN
                PERFORM check_ranges_v1(v_fresh, v_open);
            END IF;

            WITH written AS MATERIALIZED (
                SELECT i.item, i.id, i.board, i.player, (v_players[i.who]).seq - i.rest AS seq, i.kind, i.points, i.tiebreak, i.reason, i.note, i.occurred_at,
                    (v_players[i.who]).recorded_at - i.rest * interval '1 microsecond' AS recorded_at, i.reverses, i.metadata,
                    (v_open[i.spans]).periods AS periods,
                    ARRAY(SELECT (SELECT s.score FROM standings s WHERE s.period = c.period AND s.player = i.player)
                          FROM unnest((v_open[i.spans]).periods) WITH ORDINALITY AS c (period, n)
                          ORDER BY c.n) AS scores,
                    (v_players[i.who]).user_id
                FROM unnest(v_fresh) i
            ), entry AS (
                INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, reason, note, actor, occurred_at, recorded_at,
                    batch, reverses, metadata, periods, scores)
                SELECT id, board, player, seq, kind, points, tiebreak, reason, note, p_actor, occurred_at, recorded_at,
                    p_batch, reverses, metadata, periods, scores
                FROM written
            )
            INSERT INTO outbox (type, recordedtime, traceparent, entry, notify)
            SELECT entry_event_v1(kind), recorded_at, p_traceparent, id, entry_notify_v1(kind, p_actor, user_id)
            FROM written
            ORDER BY item;
        END IF;

        IF v_profiles THEN
            WITH changed AS (
                UPDATE players p
                SET recorded_at = p.recorded_at + interval '1 microsecond'
                FROM unnest(v_boards, v_ids, v_changes) AS c (board, player, changes)
                WHERE p.board = c.board AND p.id = c.player COLLATE "C"
                RETURNING p.board, p.id, p.recorded_at, c.changes
            )
            INSERT INTO outbox (type, recordedtime, traceparent, subject, actor, data)
            SELECT 'plaudit.player.changed', c.recorded_at, p_traceparent, 'board/' || b.id || '/player/' || c.id, p_actor,
                jsonb_build_object('changes', c.changes)::text
            FROM changed c
            JOIN boards b ON b.no = c.board
            ORDER BY c.board, c.id;
        END IF;
    END IF;

    IF p_batch IS NULL THEN
        -- A new and an old entry come from the same row, so that an answer
        -- that is given again is the same.
        v_i := v_items[1];
        RETURN QUERY
        SELECT 0, CASE WHEN l.id = v_i.id THEN 'added' ELSE 'replayed' END, to_jsonb(l), NULL::uuid, NULL, NULL::bigint, NULL::uuid
        FROM ledger l
        WHERE l.id = CASE WHEN cardinality(v_fresh) = 1 THEN v_i.id
            ELSE (SELECT k.entry FROM entry_keys k WHERE k.board = v_i.board AND k.key = v_i.key) END;
    ELSIF cardinality(v_fresh) = cardinality(v_items) THEN
        RETURN QUERY
        SELECT i.item, 'added', NULL::jsonb, i.id, i.player, i.points, p_batch
        FROM unnest(v_items) i;
    ELSE
        RETURN QUERY
        SELECT i.item, CASE WHEN e.id = i.id THEN 'added' ELSE 'replayed' END, NULL::jsonb, e.id, e.player, e.points, e.batch
        FROM unnest(v_items) i
        CROSS JOIN LATERAL (SELECT (SELECT k.entry FROM entry_keys k WHERE k.board = i.board AND k.key = i.key) AS entry) k
        CROSS JOIN LATERAL (SELECT * FROM entries e WHERE e.id = coalesce(k.entry, i.id) LIMIT 1) e
        ORDER BY i.item;
    END IF;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION add_entries_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_entries_v1 TO score_add;
