-- +goose Up

-- One run of a period, with nulls for no border.
CREATE TYPE span_v1 AS (name text COLLATE "C", start timestamptz, "end" timestamptz);

-- One entry or reversal to be written, see score.Item. Digest is hex, profile
-- a JSON merge patch (RFC 7396). The collations are the tables', without which
-- their indexes would not serve. What follows spans is found out by
-- add_entries_v1.
CREATE TYPE add_item_v1 AS (
    item        integer, -- its index, from 0
    id          uuid,
    board       integer, -- its number; p_items has its id here
    player      text COLLATE "C", -- of a reversal: null until its original is found
    key         text COLLATE "C",
    digest      text,
    refused     boolean,
    late        boolean,
    kind        text,
    points      bigint,
    tiebreak    bigint,
    reason      text,
    note        text,
    occurred_at timestamptz,
    metadata    text,
    reverses    uuid,
    user_id     text,    -- whom a player that is new belongs to
    profile     jsonb,
    day         span_v1, -- where the board's daily cap counts it
    spans       span_v1[],
    periods     bigint[],    -- to be credited, or in which a credit is cancelled: those still open
    nth         integer,     -- its place among the items of its player, from 1
    rest        integer,     -- how many of these come after it
    reversed    boolean,     -- the original cannot be reversed
    counted_at  timestamptz  -- when the original counted towards a daily cap
);

-- One line of the answer of add_entries_v1. body is a row of ledger where the
-- outcome is added or replayed, a board where it is stale, else null.
CREATE TYPE added_v1 AS (item integer, outcome text, body jsonb);

-- A credit, and also what several of them make.
CREATE TYPE credit_v1 AS (score bigint, tiebreak bigint, reached_at timestamptz, moved boolean);

-- What a standing becomes by one more credit, which has the greater seq. Any
-- number of credits make the same in any order; credits_left_v1 makes it of
-- all at once.
-- +goose StatementBegin
CREATE FUNCTION fold_v1(a credit_v1, p_combine text, p_sign integer, b credit_v1) RETURNS credit_v1
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF a.score IS NULL THEN
        RETURN b;
    END IF;
    CASE p_combine
    WHEN 'sum' THEN
        -- The latest that moved the score, else the earliest.
        IF a.moved = b.moved THEN
            a.reached_at := CASE WHEN a.moved THEN greatest(a.reached_at, b.reached_at) ELSE least(a.reached_at, b.reached_at) END;
        ELSIF b.moved THEN
            a.reached_at := b.reached_at;
        END IF;
        a.score := a.score + b.score;
        a.tiebreak := a.tiebreak + b.tiebreak;
        a.moved := a.moved OR b.moved;
        RETURN a;
    WHEN 'best' THEN
        IF (p_sign * b.score, p_sign * b.tiebreak, b.reached_at) < (p_sign * a.score, p_sign * a.tiebreak, a.reached_at) THEN
            RETURN b;
        END IF;
        RETURN a;
    WHEN 'last' THEN
        IF b.reached_at >= a.reached_at THEN
            RETURN b;
        END IF;
        RETURN a;
    END CASE;
END $$;
-- +goose StatementEnd

CREATE AGGREGATE fold_all_v1(p_combine text, p_sign integer, credit credit_v1) (SFUNC = fold_v1, STYPE = credit_v1);

-- What a player's credits in one run of a period make, of those that no
-- reversal cancelled; p_gone are entries that are just being reversed. n is how
-- many there are: without one there is no standing.
-- +goose StatementBegin
CREATE FUNCTION credits_left_v1(p_board integer, p_player text, p_period bigint, p_start timestamptz, p_end timestamptz,
    p_combine text, p_sign integer, p_gone uuid[])
RETURNS TABLE (n bigint, score bigint, tiebreak bigint, reached_at timestamptz, moved boolean)
LANGUAGE sql STABLE AS $$
    SELECT count(*),
        CASE WHEN p_combine = 'sum' THEN sum(c.points)::bigint ELSE (array_agg(c.points ORDER BY c.n1, c.n2, c.t1, c.t2 DESC, c.seq DESC))[1] END,
        CASE WHEN p_combine = 'sum' THEN sum(c.tiebreak)::bigint ELSE (array_agg(c.tiebreak ORDER BY c.n1, c.n2, c.t1, c.t2 DESC, c.seq DESC))[1] END,
        CASE WHEN p_combine <> 'sum' THEN (array_agg(c.occurred_at ORDER BY c.n1, c.n2, c.t1, c.t2 DESC, c.seq DESC))[1]
            ELSE coalesce(max(c.occurred_at) FILTER (WHERE c.moved), min(c.occurred_at)) END,
        CASE WHEN p_combine = 'sum' THEN bool_or(c.moved) ELSE (array_agg(c.moved ORDER BY c.n1, c.n2, c.t1, c.t2 DESC, c.seq DESC))[1] END
    FROM (
        SELECT e.points, e.tiebreak, e.occurred_at, e.seq, e.points <> 0 OR e.tiebreak <> 0 AS moved,
            CASE p_combine WHEN 'best' THEN p_sign * e.points END AS n1,
            CASE p_combine WHEN 'best' THEN p_sign * e.tiebreak END AS n2,
            CASE p_combine WHEN 'best' THEN e.occurred_at END AS t1,
            CASE p_combine WHEN 'last' THEN e.occurred_at END AS t2
        FROM entries e
        -- Rows, because no other index than entries_player serves them: with
        -- each column on its own a planner without statistics may take
        -- entries_board, and read all players.
        WHERE e.board = p_board AND e.player = p_player
          AND (e.player, e.occurred_at) >= (p_player, p_start) AND (e.player, e.occurred_at) < (p_player, p_end)
          AND e.kind <> 'reversal' AND p_period = ANY (e.periods)
          AND e.id <> ALL (p_gone)
          AND (SELECT r.id FROM entries r WHERE r.reverses = e.id AND p_period = ANY (r.periods)) IS NULL
    ) c
$$;
-- +goose StatementEnd

-- A player after a patch of display_name, country, user, status, note and
-- attributes. Attributes change one by one.
-- +goose StatementBegin
CREATE FUNCTION player_patch_v1(p_state jsonb, p_player jsonb, p_patch jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_old jsonb := coalesce(p_state, p_player);
    v_new jsonb := v_old || (p_patch - 'attributes');
BEGIN
    IF jsonb_typeof(p_patch -> 'attributes') = 'null' THEN
        RETURN v_new || '{"attributes": {}}';
    ELSIF p_patch ? 'attributes' THEN
        RETURN v_new || jsonb_build_object('attributes', jsonb_strip_nulls((v_old -> 'attributes') || (p_patch -> 'attributes')));
    END IF;
    RETURN v_new;
END $$;
-- +goose StatementEnd

CREATE AGGREGATE player_patch_all_v1(p_player jsonb, p_patch jsonb) (SFUNC = player_patch_v1, STYPE = jsonb);

-- A player as patches see it.
-- +goose StatementBegin
CREATE FUNCTION player_json_v1(p players) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('display_name', p.display_name, 'country', p.country, 'user', p.user_id,
        'status', p.status, 'note', p.note, 'attributes', p.attributes)
$$;
-- +goose StatementEnd

-- What differs, {field: {from, to}}. Of somebody with an account the name and
-- the country change without values: an erasure could not reach them in the
-- audit log.
-- +goose StatementBegin
CREATE FUNCTION player_changes_v1(p_old jsonb, p_new jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(n.key,
        CASE WHEN n.key IN ('display_name', 'country') AND coalesce(p_old ->> 'user', p_new ->> 'user') IS NOT NULL THEN '{}'
            ELSE jsonb_build_object('from', p_old -> n.key, 'to', n.value) END), '{}')
    FROM jsonb_each(p_new) n
    WHERE n.value IS DISTINCT FROM p_old -> n.key
$$;
-- +goose StatementEnd

-- Brings the copies in standings of periods that are still open up to date
-- with the players, whose rows are locked. Both lists go together.
-- +goose StatementBegin
CREATE FUNCTION follow_players_v1(p_boards integer[], p_players text[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    -- The inner queries stand alone (OFFSET 0), so that each table is probed by
    -- its whole key, and not by the board or the period first.
    UPDATE standings s
    SET status = n.status, cat1 = n.cat1, cat2 = n.cat2, cat3 = n.cat3, cat4 = n.cat4
    FROM (
        SELECT q.no AS period, p.id AS player, p.status, p.attributes ->> b.categories[1] AS cat1, p.attributes ->> b.categories[2] AS cat2,
            p.attributes ->> b.categories[3] AS cat3, p.attributes ->> b.categories[4] AS cat4
        FROM (
            SELECT p.board, p.id, p.status, p.attributes
            FROM unnest(p_boards, p_players) AS i (board, player)
            JOIN players p ON p.board = i.board AND p.id = i.player COLLATE "C"
            OFFSET 0
        ) p
        JOIN boards b ON b.no = p.board
        JOIN periods q ON q.board = p.board AND q.end_at > p_now - b.grace
        OFFSET 0
    ) n
    WHERE s.period = n.period AND s.player = n.player
      AND (s.status, s.cat1, s.cat2, s.cat3, s.cat4) IS DISTINCT FROM (n.status, n.cat1, n.cat2, n.cat3, n.cat4);
END $$;
-- +goose StatementEnd

-- The type of an entry's event.
-- +goose StatementBegin
CREATE FUNCTION entry_event_v1(p_kind text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT 'plaudit.entry.' || CASE p_kind WHEN 'adjustment' THEN 'adjusted' WHEN 'import' THEN 'imported' WHEN 'reversal' THEN 'reversed' ELSE 'added' END
$$;
-- +goose StatementEnd

-- Who is told of an entry: whom its player is, of what staff did, unless they
-- did it themselves.
-- +goose StatementBegin
CREATE FUNCTION entry_notify_v1(p_kind text, p_actor text, p_user text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_kind IN ('adjustment', 'reversal') AND p_actor <> 'user/' || p_user THEN p_user END
$$;
-- +goose StatementEnd

-- Ends the transaction for a reason that the client may know. PA409 is the
-- code by which callers know it; the detail is the item's index.
-- +goose StatementBegin
CREATE FUNCTION refuse_v1(p_cause text, p_item integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'PA409', MESSAGE = p_cause, DETAIL = p_item;
END $$;
-- +goose StatementEnd

-- Writes entries, standings and events, all or nothing. p_boards are the items'
-- boards, sorted, p_versions the versions by which the items were made, p_items
-- an array of add_item_v1, p_batch what they have in common.
--
-- Locks come in classes, each sorted, so that no two calls wait for each
-- other: boards (shared), keys, runs of periods, players. A statement that
-- reads what a lock protects comes after the one that takes the lock, because
-- under READ COMMITTED each sees what was committed when it began.
--
-- Generic plans, because planning a long statement takes longer than running
-- it; and none that scans a table, whatever the statistics of yesterday say.
-- Every statement is driven by the items and probes indexes.
-- +goose StatementBegin
CREATE FUNCTION add_entries_v1(p_boards text[], p_versions bigint[], p_items jsonb, p_actor text, p_traceparent text, p_batch uuid) RETURNS SETOF added_v1
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    c_max constant bigint := 9007199254740991;
    v_now       timestamptz;
    v_items     add_item_v1[];
    v_fresh     add_item_v1[]; -- the items that are not replayed
    v_board     text;
    v_stale     boolean;
    v_keys      boolean;
    v_refused   boolean;
    v_reversals boolean;
    v_profiles  boolean;
    v_capped    boolean;
    v_missing   boolean;
    v_closed    boolean;
    v_until     timestamptz; -- when the first of the open periods closes
    v_locked    boolean := false; -- the players are
    v_shut      boolean; -- v_closed of v_previous
    v_beyond    boolean;
    v_i         add_item_v1;
    v_previous  add_item_v1;
    v_found     record;
    v_item      integer;
    v_cause     text;
    v_boards    integer[];
    v_players   text[];
    v_changes   jsonb[];
    v_number    bigint;
    v_b         boards;
    v_p         players;
    v_sign      integer;
    v_period    bigint;
    v_credit    credit_v1;
    v_scores    bigint[];
BEGIN
    FOREACH v_board IN ARRAY p_boards LOOP
        -- An expression, which takes a tenth of what PERFORM takes.
        IF pg_advisory_xact_lock_shared(board_lock_v1(v_board)) IS NULL THEN
        END IF;
    END LOOP;
    -- Whoever closes a period has the lock alone.
    v_now := plaudit_now();

    IF jsonb_array_length(p_items) = 1 THEN
        -- The same by expressions, which start at once.
        SELECT * INTO v_b FROM boards WHERE id = p_items -> 0 ->> 'board' COLLATE "C";
        v_i := jsonb_populate_record(NULL::add_item_v1,
            (p_items -> 0) || jsonb_build_object('board', v_b.no, 'item', 0, 'nth', 1, 'rest', 0));
        v_items := ARRAY[v_i];
        v_stale := v_b.version <> p_versions[1];
        v_keys := v_i.key IS NOT NULL;
        v_refused := v_i.refused;
        v_reversals := v_i.reverses IS NOT NULL;
        v_profiles := v_i.profile IS NOT NULL;
        v_capped := (v_i.day).start IS NOT NULL;
    ELSE
        SELECT array_agg(i ORDER BY i.item), bool_or(b.version <> p_versions[array_position(p_boards, b.id)]), bool_or(i.key IS NOT NULL),
            bool_or(i.refused), bool_or(i.reverses IS NOT NULL), bool_or(i.profile IS NOT NULL), bool_or((i.day).start IS NOT NULL)
        INTO v_items, v_stale, v_keys, v_refused, v_reversals, v_profiles, v_capped
        FROM jsonb_array_elements(p_items) WITH ORDINALITY AS d (doc, n)
        JOIN boards b ON b.id = d.doc ->> 'board'
        CROSS JOIN jsonb_populate_record(NULL::add_item_v1,
            d.doc || jsonb_build_object('board', b.no, 'item', d.n - 1, 'nth', 1, 'rest', 0)) i;
    END IF;

    IF v_stale THEN
        RETURN QUERY
        SELECT NULL::integer, 'stale', board_json_v1(b)
        FROM unnest(p_boards, p_versions) AS v (id, version)
        JOIN boards b ON b.id = v.id COLLATE "C"
        WHERE b.version <> v.version;
        RETURN;
    END IF;

    IF v_reversals THEN
        FOR v_n IN 1 .. cardinality(v_items) LOOP
            v_i := v_items[v_n];
            CONTINUE WHEN v_i.reverses IS NULL;
            SELECT e.player, e.points, e.tiebreak, e.kind, e.occurred_at, e.periods,
                EXISTS (SELECT FROM entries r WHERE r.reverses = e.id) AS reversed
            INTO v_found
            FROM entries e
            WHERE e.id = v_i.reverses AND e.board = v_i.board;
            IF FOUND THEN
                v_i.player := v_found.player;
                v_i.kind := 'reversal';
                v_i.points := - v_found.points;
                v_i.tiebreak := - v_found.tiebreak;
                v_i.periods := v_found.periods;
                v_i.reversed := v_found.reversed OR v_found.kind = 'reversal';
                v_i.counted_at := CASE WHEN v_found.kind IN ('result', 'import') THEN v_found.occurred_at END;
                v_items[v_n] := v_i;
            ELSE
                v_refused := true;
            END IF;
        END LOOP;
    END IF;

    -- What can be refused before anything is written: a key that belongs to
    -- another request; an entry that is not there, or an item that its board
    -- refuses, unless it is a replay. All items with the first of these.
    IF v_refused THEN
        RETURN QUERY
        SELECT x.item, CASE x.cause WHEN 1 THEN 'key-reused' WHEN 2 THEN 'no-entry' ELSE 'refused' END, NULL::jsonb
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
                RETURN NEXT (v_item, 'key-reused', NULL)::added_v1;
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
        END IF;
    END IF;

    IF cardinality(v_fresh) > 1 THEN
        FOR v_found IN
            SELECT i.n, i.nth, i.total
            FROM (
                SELECT i.ordinality AS n, row_number() OVER (PARTITION BY i.board, i.player ORDER BY i.ordinality) AS nth,
                    count(*) OVER (PARTITION BY i.board, i.player) AS total
                FROM unnest(v_fresh) WITH ORDINALITY i
            ) i
            WHERE i.total > 1
        LOOP
            v_fresh[v_found.n].nth := v_found.nth;
            v_fresh[v_found.n].rest := v_found.total - v_found.nth;
        END LOOP;
    END IF;

    IF cardinality(v_fresh) > 0 THEN
        -- Which periods are credited, and in which a credit is cancelled.
        -- It is decided again when a player's row was waited for until one of
        -- them closed.
        LOOP
            LOOP
                v_missing := false;
                v_until := 'infinity';
                v_previous := NULL;
                FOR v_n IN 1 .. cardinality(v_fresh) LOOP
                    v_i := v_fresh[v_n];
                    IF v_b.no IS DISTINCT FROM v_i.board THEN
                        SELECT * INTO v_b FROM boards WHERE no = v_i.board;
                    END IF;
                    IF v_i.reversed THEN
                        PERFORM refuse_v1('reversed', v_i.item);
                    ELSIF v_i.reverses IS NOT NULL THEN
                        SELECT array_agg(q.no ORDER BY c.n) FILTER (WHERE q.end_at + v_b.grace > v_now), bool_or(q.end_at + v_b.grace <= v_now),
                            least(v_until, min(q.end_at + v_b.grace) FILTER (WHERE q.end_at + v_b.grace > v_now))
                        INTO v_i.periods, v_closed, v_until
                        FROM unnest(v_i.periods) WITH ORDINALITY AS c (no, n)
                        JOIN periods q ON q.no = c.no;
                    ELSIF v_i.board = v_previous.board AND v_i.spans = v_previous.spans THEN
                        v_i.periods := v_previous.periods;
                        v_closed := v_shut;
                    ELSE
                        SELECT array_agg(q.no ORDER BY s.ordinality) FILTER (WHERE coalesce(s."end", 'infinity') + v_b.grace > v_now),
                            bool_or(coalesce(s."end", 'infinity') + v_b.grace <= v_now),
                            v_missing OR bool_or(q.no IS NULL AND coalesce(s."end", 'infinity') + v_b.grace > v_now),
                            least(v_until, min(s."end" + v_b.grace) FILTER (WHERE s."end" + v_b.grace > v_now))
                        INTO v_i.periods, v_closed, v_missing, v_until
                        FROM unnest(v_i.spans) WITH ORDINALITY s
                        LEFT JOIN periods q ON q.board = v_i.board AND q.name = s.name AND q.start_at = coalesce(s.start, '-infinity');
                        v_previous := v_i;
                        v_shut := v_closed;
                    END IF;
                    IF v_closed AND v_i.late IS NOT TRUE OR v_i.periods IS NULL AND v_missing IS NOT TRUE THEN
                        PERFORM refuse_v1('closed', v_i.item);
                    END IF;
                    v_fresh[v_n].periods := v_i.periods;
                END LOOP;
                EXIT WHEN v_missing IS NOT TRUE;

                INSERT INTO periods (board, name, start_at, end_at)
                SELECT DISTINCT i.board, s.name, coalesce(s.start, '-infinity'), coalesce(s."end", 'infinity')
                FROM unnest(v_fresh) i
                JOIN boards b ON b.no = i.board
                CROSS JOIN unnest(i.spans) s
                WHERE coalesce(s."end", 'infinity') + b.grace > v_now
                  AND (SELECT p.no FROM periods p
                       WHERE p.board = i.board AND p.name = s.name AND p.start_at = coalesce(s.start, '-infinity')) IS NULL
                ORDER BY 1, 2, 3
                ON CONFLICT DO NOTHING;
            END LOOP;
            EXIT WHEN v_locked;

            INSERT INTO players AS p (board, id, seq, recorded_at, user_id)
            SELECT i.board, i.player, i.rest + 1, plaudit_now() + i.rest * interval '1 microsecond', i.user_id
            FROM unnest(v_fresh) i
            WHERE i.nth = 1
            ORDER BY i.board, i.player
            ON CONFLICT (board, id) DO UPDATE SET
                seq = p.seq + excluded.seq,
                recorded_at = greatest(plaudit_now(), p.recorded_at + interval '1 microsecond')
                            + (excluded.seq - 1) * interval '1 microsecond';
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
            INTO v_item, v_boards, v_players, v_changes
            FROM changed c;
            IF v_item IS NOT NULL THEN
                PERFORM refuse_v1('attributes', v_item);
            END IF;
            PERFORM follow_players_v1(v_boards, v_players, v_now);
        END IF;

        IF v_capped THEN
            -- By player and day: what counts already, then the items in their
            -- order. Reversals give back on the day of their original.
            SELECT x.item INTO v_item
            FROM (
                SELECT x.item, x.points, x.checked, x.board,
                    sum(x.before + x.points) OVER (PARTITION BY x.board, x.player, x.start ORDER BY x.item) AS running,
                    sum(x.before + x.points) OVER (PARTITION BY x.board, x.player, x.start) AS total
                FROM (
                    SELECT c.*, CASE WHEN row_number() OVER (PARTITION BY c.board, c.player, c.start ORDER BY c.item) > 1 THEN 0 ELSE (
                        SELECT coalesce(sum(e.points), 0)
                        FROM entries e
                        WHERE e.board = c.board AND e.player = c.player -- as in credits_left_v1
                          AND (e.player, e.occurred_at) >= (c.player, c.start) AND (e.player, e.occurred_at) < (c.player, c."end")
                          AND e.kind IN ('result', 'import')
                          AND (SELECT r.id FROM entries r WHERE r.reverses = e.id) IS NULL) END AS before
                    FROM (
                        SELECT i.item, i.board, i.player, (i.day).start, (i.day)."end", i.points, true AS checked
                        FROM unnest(v_fresh) i
                        WHERE (i.day).start IS NOT NULL
                        UNION ALL
                        SELECT i.item, i.board, i.player, d.start, d."end", i.points, false
                        FROM unnest(v_fresh) i
                        JOIN (SELECT DISTINCT i.board, (i.day).start, (i.day)."end" FROM unnest(v_fresh) i) d
                            ON d.board = i.board AND i.counted_at >= d.start AND i.counted_at < d."end"
                    ) c
                ) x
            ) x
            JOIN boards b ON b.no = x.board
            WHERE x.checked AND x.points > 0 AND x.running > b.daily_cap AND x.total > b.daily_cap
            ORDER BY x.item
            LIMIT 1;
            IF FOUND THEN
                PERFORM refuse_v1('daily-cap', v_item);
            END IF;
        END IF;

        IF v_reversals THEN
            WITH less AS MATERIALIZED (
                SELECT q.no, t.player, l.*, CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END AS sign, b.ties
                FROM (
                    SELECT i.board, i.player, c.no, array_agg(i.reverses) AS gone
                    FROM unnest(v_fresh) i
                    CROSS JOIN unnest(i.periods) AS c (no)
                    WHERE i.reverses IS NOT NULL
                    GROUP BY i.board, i.player, c.no
                ) t
                JOIN boards b ON b.no = t.board
                JOIN periods q ON q.no = t.no
                CROSS JOIN credits_left_v1(t.board, t.player, t.no, q.start_at, q.end_at, b.combine,
                    CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END, t.gone) l
            ), without AS (
                DELETE FROM standings s
                USING less l
                WHERE s.period = l.no AND s.player = l.player AND l.n = 0
            )
            UPDATE standings s
            SET score = l.score, tiebreak = l.tiebreak, reached_at = l.reached_at, moved = l.moved, key_score = l.sign * l.score,
                key_tiebreak = l.sign * l.tiebreak, key_reached = CASE l.ties WHEN 'first' THEN l.reached_at ELSE '-infinity' END
            FROM less l
            WHERE s.period = l.no AND s.player = l.player AND l.n > 0;
        END IF;

        IF cardinality(v_fresh) = 1 AND NOT v_reversals THEN
            -- What most calls do. Starting the long statements below takes
            -- longer than running them: these make the same of one item.
            v_i := v_fresh[1];
            SELECT * INTO v_p FROM players WHERE board = v_i.board AND id = v_i.player;
            v_sign := CASE v_b."order" WHEN 'desc' THEN -1 ELSE 1 END;
            FOREACH v_period IN ARRAY v_i.periods LOOP
                SELECT s.score, s.tiebreak, s.reached_at, s.moved INTO v_credit
                FROM standings s
                WHERE s.period = v_period AND s.player = v_i.player;
                v_credit := fold_v1(v_credit, v_b.combine, v_sign,
                    (v_i.points, v_i.tiebreak, v_i.occurred_at, v_i.points <> 0 OR v_i.tiebreak <> 0)::credit_v1);
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
                v_p.recorded_at, p_batch, v_i.metadata, v_i.periods, v_scores);
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
                    SELECT n.period, n.player, n.sign, n.ties, n.categories, p.status, p.attributes,
                        fold_v1((o.score, o.tiebreak, o.reached_at, o.moved)::credit_v1, n.combine, n.sign, n.credit) AS credit
                    FROM (
                        SELECT c.period, i.board, i.player, b.combine, b.ties, b.categories, CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END AS sign,
                            fold_all_v1(b.combine, CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END,
                                (i.points, i.tiebreak, i.occurred_at, i.points <> 0 OR i.tiebreak <> 0)::credit_v1 ORDER BY i.item) AS credit
                        FROM unnest(v_fresh) i
                        JOIN boards b ON b.no = i.board
                        CROSS JOIN unnest(i.periods) AS c (period)
                        WHERE i.reverses IS NULL
                        GROUP BY c.period, i.board, i.player, b.combine, b.ties, b.categories, b."order"
                    ) n
                    JOIN players p ON p.board = n.board AND p.id = n.player
                    LEFT JOIN standings o ON o.period = n.period AND o.player = n.player
                    ORDER BY n.period, n.player
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
                -- Which item took a sum out of its range: what it was after
                -- each item follows from what it is after all of them.
                SELECT x.item, CASE WHEN x.score BETWEEN -c_max AND c_max THEN 'tiebreak-range' ELSE 'range' END
                INTO v_item, v_cause
                FROM (
                    SELECT i.item,
                        s.score - coalesce(sum(i.points) OVER later, 0) AS score,
                        s.tiebreak - coalesce(sum(i.tiebreak) OVER later, 0) AS tiebreak
                    FROM unnest(v_fresh) i
                    CROSS JOIN unnest(i.periods) AS c (period)
                    CROSS JOIN LATERAL (
                        SELECT s.score, s.tiebreak FROM standings s WHERE s.period = c.period AND s.player = i.player LIMIT 1) s
                    WHERE s.score NOT BETWEEN -c_max AND c_max OR s.tiebreak NOT BETWEEN -c_max AND c_max
                    WINDOW later AS (PARTITION BY c.period, i.player ORDER BY i.item ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
                ) x
                WHERE x.score NOT BETWEEN -c_max AND c_max OR x.tiebreak NOT BETWEEN -c_max AND c_max
                ORDER BY x.item
                LIMIT 1;
                IF FOUND THEN
                    PERFORM refuse_v1(v_cause, v_item);
                END IF;
            END IF;

            WITH written AS MATERIALIZED (
                SELECT i.item, i.id, i.board, i.player, p.seq - i.rest AS seq, i.kind, i.points, i.tiebreak, i.reason, i.note, i.occurred_at,
                    p.recorded_at - i.rest * interval '1 microsecond' AS recorded_at, i.reverses, i.metadata, i.periods,
                    ARRAY(SELECT s.score
                          FROM unnest(i.periods) WITH ORDINALITY AS c (period, n)
                          LEFT JOIN standings s ON s.period = c.period AND s.player = i.player
                          ORDER BY c.n) AS scores,
                    p.user_id
                FROM unnest(v_fresh) i
                JOIN players p ON p.board = i.board AND p.id = i.player
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
                FROM unnest(v_boards, v_players, v_changes) AS c (board, player, changes)
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

    -- New and old entries come from the same rows, so that an answer that is
    -- given again is the same.
    IF cardinality(v_items) = 1 AND cardinality(v_fresh) = 1 THEN
        RETURN QUERY
        SELECT 0, 'added', to_jsonb(l)
        FROM ledger l
        WHERE l.id = v_i.id;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT i.item, CASE WHEN l.id = i.id THEN 'added' ELSE 'replayed' END, to_jsonb(l)
    FROM unnest(v_items) i
    LEFT JOIN entry_keys k ON k.board = i.board AND k.key = i.key
    JOIN ledger l ON l.id = coalesce(k.entry, i.id)
    ORDER BY i.item;
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION fold_v1, fold_all_v1(text, integer, credit_v1), credits_left_v1, player_patch_v1, player_patch_all_v1(jsonb, jsonb),
    player_json_v1, player_changes_v1, follow_players_v1, entry_event_v1, entry_notify_v1,
    refuse_v1, add_entries_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_entries_v1 TO score_add;
