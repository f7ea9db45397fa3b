-- +goose Up

-- One entry to be written, see score.Item. Digest is hex, profile a JSON merge
-- patch (RFC 7396), spans [{name, start, end}] with nulls for no border. The
-- collations are the tables', without which their indexes would not serve.
CREATE TYPE add_item_v1 AS (
    item        integer, -- its index, from 0; p_items need not say
    id          uuid,
    board       integer, -- its number; p_items has its id here
    player      text COLLATE "C",
    key         text COLLATE "C",
    digest      text,
    refused     boolean,
    kind        text,
    points      bigint,
    tiebreak    bigint,
    reason      text,
    note        text,
    occurred_at timestamptz,
    metadata    text,
    profile     jsonb,
    spans       jsonb
);

-- One line of the answer of add_entries_v1. body is a row of ledger where the
-- outcome is added or replayed, a board where it is stale, else null.
CREATE TYPE added_v1 AS (item integer, outcome text, body jsonb);

-- Gives the value, or ends the transaction where it is no score. PA409 is the
-- code by which callers know it; the detail is what they read.
-- +goose StatementBegin
CREATE FUNCTION in_range_v1(p_value numeric, p_item integer, p_cause text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p_value NOT BETWEEN -9007199254740991 AND 9007199254740991 THEN
        RAISE EXCEPTION USING ERRCODE = 'PA409', MESSAGE = p_cause, DETAIL = p_item;
    END IF;
    RETURN p_value;
END $$;
-- +goose StatementEnd

-- A profile after a patch. Attributes change one by one.
-- +goose StatementBegin
CREATE FUNCTION profile_apply_v1(p_profile jsonb, p_patch jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_profile || (p_patch - 'attributes') || jsonb_build_object('attributes',
        CASE
            WHEN jsonb_typeof(p_patch -> 'attributes') = 'null' THEN '{}'
            WHEN p_patch ? 'attributes' THEN jsonb_strip_nulls(coalesce(p_profile -> 'attributes', '{}') || (p_patch -> 'attributes'))
            ELSE coalesce(p_profile -> 'attributes', '{}')
        END)
$$;
-- +goose StatementEnd

CREATE AGGREGATE profile_fold_v1(jsonb) (SFUNC = profile_apply_v1, STYPE = jsonb, INITCOND = '{}');

-- Writes entries, standings and events, all or nothing. p_versions is {board:
-- version}, p_items an array of add_item_v1.
--
-- Locks come in classes, each sorted, so that no two calls wait for each
-- other: boards (shared), keys, runs of periods, players. A statement that
-- reads what a lock protects comes after the one that takes the lock, because
-- under READ COMMITTED each sees what was committed when it began.
--
-- Generic plans, because planning the long statement takes longer than running
-- it; and none that scans a table, whatever the statistics of yesterday say.
-- +goose StatementBegin
CREATE FUNCTION add_entries_v1(p_versions jsonb, p_items jsonb, p_actor text, p_traceparent text) RETURNS SETOF added_v1
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    -- A board's number never changes, so it can be looked up before the lock.
    -- With it in the items, every table is joined to them by its whole key.
    v_items  add_item_v1[] := ARRAY(
        SELECT jsonb_populate_record(NULL::add_item_v1, i.doc || jsonb_build_object('board', b.no, 'item', i.n - 1))
        FROM jsonb_array_elements(p_items) WITH ORDINALITY AS i (doc, n)
        JOIN boards b ON b.id = i.doc ->> 'board'
        ORDER BY i.n);
    v_fresh  add_item_v1[] := v_items; -- the items that are not replayed
    v_keys   boolean := EXISTS (SELECT FROM unnest(v_items) i WHERE i.key IS NOT NULL);
    v_item   integer;
    v_cause  text;
    v_number bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(l.lock)
    FROM (SELECT board_lock_v1(v.key) AS lock FROM jsonb_each(p_versions) v ORDER BY 1) l;

    RETURN QUERY
    SELECT NULL::integer, 'stale', board_json_v1(b)
    FROM jsonb_each_text(p_versions) v
    JOIN boards b ON b.id = v.key
    WHERE b.version <> v.value::bigint;
    IF FOUND THEN
        RETURN;
    END IF;

    -- What can be refused before anything is written: a key that belongs to
    -- another request, an item whose board refuses it unless it is a replay.
    IF v_keys OR EXISTS (SELECT FROM unnest(v_items) i WHERE i.refused) THEN
        SELECT i.item, CASE WHEN k.entry IS NULL THEN 'refused' ELSE 'key-reused' END
        INTO v_item, v_cause
        FROM unnest(v_items) i
        LEFT JOIN entry_keys k ON k.board = i.board AND k.key = i.key
        WHERE k.digest <> decode(i.digest, 'hex') OR k.entry IS NULL AND i.refused
        ORDER BY k.entry IS NULL, i.item
        LIMIT 1;
        IF FOUND THEN
            RETURN NEXT (v_item, v_cause, NULL)::added_v1;
            RETURN;
        END IF;
    END IF;

    IF v_keys THEN
        INSERT INTO entry_keys (board, key, digest, entry)
        SELECT i.board, i.key, decode(i.digest, 'hex'), i.id
        FROM unnest(v_items) i
        WHERE i.key IS NOT NULL
        ORDER BY i.board, i.key
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS v_number = ROW_COUNT;

        IF v_number < cardinality(v_items) THEN
            -- Somebody may have written a key since it was looked for.
            SELECT i.item INTO v_item
            FROM unnest(v_items) i
            JOIN entry_keys k ON k.board = i.board AND k.key = i.key
            WHERE k.digest <> decode(i.digest, 'hex')
            ORDER BY i.item
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'PA409', MESSAGE = 'key-reused', DETAIL = v_item;
            END IF;
            v_fresh := ARRAY(
                SELECT i
                FROM unnest(v_items) i
                LEFT JOIN entry_keys k ON k.board = i.board AND k.key = i.key
                WHERE i.key IS NULL OR k.entry = i.id
                ORDER BY i.item);
        END IF;
    END IF;

    IF cardinality(v_fresh) > 0 THEN
        INSERT INTO periods (board, name, start_at, end_at)
        SELECT DISTINCT i.board, s.name, coalesce(s.start, '-infinity'), coalesce(s."end", 'infinity')
        FROM unnest(v_fresh) i
        CROSS JOIN jsonb_to_recordset(i.spans) AS s (name text, start timestamptz, "end" timestamptz)
        WHERE (SELECT p.no FROM periods p
               WHERE p.board = i.board AND p.name = s.name AND p.start_at = coalesce(s.start, '-infinity')) IS NULL
        ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING;

        INSERT INTO players AS p (board, id, seq, recorded_at)
        SELECT i.board, i.player, count(*), plaudit_now() + (count(*) - 1) * interval '1 microsecond'
        FROM unnest(v_fresh) i
        GROUP BY i.board, i.player
        ORDER BY i.board, i.player
        ON CONFLICT (board, id) DO UPDATE SET
            seq = p.seq + excluded.seq,
            recorded_at = greatest(plaudit_now(), p.recorded_at + interval '1 microsecond')
                        + (excluded.seq - 1) * interval '1 microsecond';

        IF EXISTS (SELECT FROM unnest(v_fresh) i WHERE i.profile IS NOT NULL) THEN
            WITH patch AS (
                SELECT i.board, i.player, i.item, i.profile
                FROM unnest(v_fresh) i
                WHERE i.profile IS NOT NULL
            ), state AS (
                -- What is there goes first, then the items in their order.
                SELECT DISTINCT p.board, p.id AS player, NULL::integer AS item, jsonb_build_object(
                    'display_name', p.display_name, 'country', p.country, 'user', p.user_id, 'attributes', p.attributes) AS profile
                FROM patch
                JOIN players p ON p.board = patch.board AND p.id = patch.player
                UNION ALL
                SELECT board, player, item, profile FROM patch
            ), folded AS (
                SELECT board, player, min(item) AS item, profile_fold_v1(profile ORDER BY item NULLS FIRST) AS profile
                FROM state
                GROUP BY board, player
            ), written AS (
                UPDATE players p
                SET display_name = f.profile ->> 'display_name', country = f.profile ->> 'country',
                    user_id = f.profile ->> 'user', attributes = f.profile -> 'attributes'
                FROM folded f
                WHERE p.board = f.board AND p.id = f.player
            )
            SELECT f.item INTO v_item
            FROM folded f
            WHERE (SELECT count(*) FROM jsonb_object_keys(f.profile -> 'attributes')) > 16
            ORDER BY f.item
            LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'PA409', MESSAGE = 'attributes', DETAIL = v_item;
            END IF;
        END IF;

        WITH credit AS MATERIALIZED (
            SELECT f.*, s.n, q.no AS period
            FROM (
                SELECT i.item, i.id, i.board, i.player, i.kind, i.points, i.tiebreak, i.reason, i.note, i.occurred_at,
                    i.metadata, i.spans, b.combine, b.ties, p.status,
                    CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END AS sign,
                    p.seq - count(*) OVER ours + row_number() OVER (ours ORDER BY i.item) AS seq,
                    p.recorded_at - (count(*) OVER ours - row_number() OVER (ours ORDER BY i.item)) * interval '1 microsecond' AS recorded_at
                FROM unnest(v_fresh) i
                JOIN boards b ON b.no = i.board
                JOIN players p ON p.board = i.board AND p.id = i.player
                WINDOW ours AS (PARTITION BY i.board, i.player)
            ) f
            CROSS JOIN ROWS FROM (jsonb_to_recordset(f.spans) AS (name text, start timestamptz)) WITH ORDINALITY AS s (name, start, n)
            CROSS JOIN LATERAL (
                SELECT p.no FROM periods p
                WHERE p.board = f.board AND p.name = s.name AND p.start_at = coalesce(s.start, '-infinity')
                LIMIT 1) q
        ), part AS (
            -- A standing folds like one more credit, older than all the others.
            SELECT item, period, player, combine, ties, status, sign, points, tiebreak, occurred_at, seq,
                points <> 0 OR tiebreak <> 0 AS moved
            FROM credit
            UNION ALL
            SELECT c.item, c.period, c.player, c.combine, c.ties, c.status, c.sign, o.score, o.tiebreak, o.reached_at, 0, o.moved
            FROM (SELECT DISTINCT ON (period, player) item, period, player, combine, ties, status, sign
                  FROM credit ORDER BY period, player, item) c
            JOIN standings o ON o.period = c.period AND o.player = c.player
        ), folded AS (
            SELECT period, player, ties, status, sign, bool_or(moved) AS moved,
                CASE combine WHEN 'sum' THEN in_range_v1(sum(points), min(item), 'range')
                    ELSE (array_agg(points ORDER BY best_score, best_tiebreak, best_at, last_at DESC, seq DESC))[1] END AS score,
                CASE combine WHEN 'sum' THEN in_range_v1(sum(tiebreak), min(item), 'tiebreak-range')
                    ELSE (array_agg(tiebreak ORDER BY best_score, best_tiebreak, best_at, last_at DESC, seq DESC))[1] END AS tiebreak,
                CASE WHEN combine <> 'sum'
                    THEN (array_agg(occurred_at ORDER BY best_score, best_tiebreak, best_at, last_at DESC, seq DESC))[1]
                    WHEN bool_or(moved) THEN max(occurred_at) FILTER (WHERE moved)
                    ELSE min(occurred_at) END AS reached_at
            FROM (
                SELECT part.*,
                    CASE combine WHEN 'best' THEN sign * points END AS best_score,
                    CASE combine WHEN 'best' THEN sign * tiebreak END AS best_tiebreak,
                    CASE combine WHEN 'best' THEN occurred_at END AS best_at,
                    CASE combine WHEN 'last' THEN occurred_at END AS last_at
                FROM part
            ) p
            GROUP BY period, player, combine, ties, status, sign
        ), standing AS (
            INSERT INTO standings AS s (period, player, score, tiebreak, reached_at, moved, status, key_score, key_tiebreak, key_reached)
            SELECT period, player, score, tiebreak, reached_at, moved, status, sign * score, sign * tiebreak,
                CASE ties WHEN 'first' THEN reached_at ELSE '-infinity' END
            FROM folded
            ORDER BY period, player
            ON CONFLICT (period, player) DO UPDATE SET
                score = excluded.score, tiebreak = excluded.tiebreak, reached_at = excluded.reached_at, moved = excluded.moved,
                status = excluded.status, key_score = excluded.key_score, key_tiebreak = excluded.key_tiebreak,
                key_reached = excluded.key_reached
            RETURNING period, player, score
        ), entry AS (
            -- Grouped by every column, because a join with the items would be
            -- planned for few and take the square of many.
            INSERT INTO entries (id, board, player, seq, kind, points, tiebreak, reason, note, actor, occurred_at, recorded_at,
                metadata, periods, scores)
            SELECT c.id, c.board, c.player, c.seq, c.kind, c.points, c.tiebreak, c.reason, c.note, p_actor, c.occurred_at,
                c.recorded_at, c.metadata, array_agg(c.period ORDER BY c.n), array_agg(standing.score ORDER BY c.n)
            FROM credit c
            JOIN standing ON standing.period = c.period AND standing.player = c.player
            GROUP BY c.id, c.board, c.player, c.seq, c.kind, c.points, c.tiebreak, c.reason, c.note, c.occurred_at,
                c.recorded_at, c.metadata
            RETURNING id, kind, recorded_at
        )
        INSERT INTO outbox (type, recordedtime, traceparent, entry)
        SELECT 'plaudit.entry.' || CASE kind WHEN 'adjustment' THEN 'adjusted' WHEN 'import' THEN 'imported' ELSE 'added' END,
            recorded_at, p_traceparent, id
        FROM entry
        ORDER BY recorded_at;
    END IF;

    -- New and old entries come from the same rows, so that an answer that is
    -- given again is the same.
    RETURN QUERY
    SELECT i.item, CASE WHEN l.id = i.id THEN 'added' ELSE 'replayed' END, to_jsonb(l)
    FROM unnest(v_items) i
    LEFT JOIN entry_keys k ON k.board = i.board AND k.key = i.key
    JOIN ledger l ON l.id = coalesce(k.entry, i.id)
    ORDER BY i.item;
END $$;
-- +goose StatementEnd

-- How many are before a place in a table: strictly better ones where p_player
-- is '', else also those of the same keys that come before the player on a
-- page. Every rank comes from here.
-- +goose StatementBegin
CREATE FUNCTION rank_above_v1(p_period bigint, p_score bigint, p_tiebreak bigint, p_reached timestamptz, p_player text) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM standings
    WHERE period = p_period AND status = 'ranked'
      AND (key_score, key_tiebreak, key_reached, player) < (p_score, p_tiebreak, p_reached, p_player)
$$;
-- +goose StatementEnd

-- How many are ranked in a table.
-- +goose StatementBegin
CREATE FUNCTION rank_of_v1(p_period bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM standings WHERE period = p_period AND status = 'ranked'
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION in_range_v1, profile_apply_v1, profile_fold_v1(jsonb), add_entries_v1, rank_above_v1, rank_of_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_entries_v1 TO score_add;
GRANT EXECUTE ON FUNCTION rank_above_v1, rank_of_v1 TO score_query;
