-- +goose Up

-- One run of a period, with nulls for no border. Those of one number are what
-- an entry credits.
CREATE TYPE span_v1 AS (
    spans   integer, -- their number, from 1
    board   integer, -- its place in p_boards
    name    text COLLATE "C",
    start   timestamptz,
    "end"   timestamptz
);

-- One entry or reversal to be written, see score.Item. Digest is hex, profile
-- a JSON merge patch (RFC 7396). The collations are the tables', without which
-- their indexes would not serve. What follows spans is found out by
-- add_entries_v1.
CREATE TYPE add_item_v1 AS (
    item        integer, -- its index, from 0
    id          uuid,
    place       integer, -- of its board in p_boards, from 1
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
    day_start   timestamptz, -- the day in which the board's daily cap counts it
    day_end     timestamptz,
    spans       integer,     -- the number of what it credits; null: nothing. A reversal's is its own.
    board       integer,     -- its number
    who         integer,     -- the number of its player, sorted by board and id, from 1
    nth         integer,     -- its place among the items of its player, from 1
    rest        integer,     -- how many of these come after it
    credited    bigint[],    -- the periods of the original
    reversed    boolean,     -- the original cannot be reversed
    counted_at  timestamptz  -- when the original counted towards a daily cap
);

-- What the spans of one number come to: the periods that are open, to be
-- credited or in which a credit is cancelled.
CREATE TYPE open_v1 AS (periods bigint[], shut boolean); -- shut: others are closed

-- One line of the answer of add_entries_v1. body is a row of ledger where one
-- item alone is added or replayed, a board where it is stale, else null. Of a
-- batch the entries are named by what its answer shows.
CREATE TYPE added_v1 AS (item integer, outcome text, body jsonb, id uuid, player text, points bigint, batch uuid);

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

-- The items with board, who, nth and rest. p_boards has the boards' numbers.
-- +goose StatementBegin
CREATE FUNCTION numbered_v1(p_items add_item_v1[], p_boards integer[]) RETURNS add_item_v1[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT (i.item, i.id, i.place, i.player, i.key, i.digest, i.refused, i.late, i.kind, i.points, i.tiebreak, i.reason, i.note,
            i.occurred_at, i.metadata, i.reverses, i.user_id, i.profile, i.day_start, i.day_end, i.spans,
            p_boards[i.place], i.player_rank, i.row, i.rows - i.row, i.credited, i.reversed, i.counted_at)::add_item_v1
        FROM (
            SELECT i.*, dense_rank() OVER (ORDER BY p_boards[i.place], i.player) AS player_rank,
                row_number() OVER player AS row, count(*) OVER (PARTITION BY p_boards[i.place], i.player) AS rows
            FROM unnest(p_items) i
            WINDOW player AS (PARTITION BY p_boards[i.place], i.player ORDER BY i.item)
        ) i
        ORDER BY i.item);
END $$;
-- +goose StatementEnd

-- What follows are parts of add_entries_v1, and planned as it says.

-- Refuses the first item that takes its player over the daily cap of its
-- board, where the player is over it after all items. The players are locked.
-- +goose StatementBegin
CREATE FUNCTION check_daily_caps_v1(p_items add_item_v1[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_item integer;
BEGIN
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
                WHERE e.board = c.board AND e.player = c.player -- as in credits_v1
                  AND (e.player, e.occurred_at) >= (c.player, c.start) AND (e.player, e.occurred_at) < (c.player, c."end")
                  AND e.kind IN ('result', 'import')
                  AND (SELECT r.id FROM entries r WHERE r.reverses = e.id) IS NULL) END AS before
            FROM (
                SELECT i.item, i.board, i.player, i.day_start AS start, i.day_end AS "end", i.points, true AS checked
                FROM unnest(p_items) i
                WHERE i.day_start IS NOT NULL
                UNION ALL
                SELECT i.item, i.board, i.player, d.start, d."end", i.points, false
                FROM unnest(p_items) i
                JOIN (SELECT DISTINCT i.board, i.day_start AS start, i.day_end AS "end" FROM unnest(p_items) i) d
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
END $$;
-- +goose StatementEnd

-- Makes the standings anew that lose the credits of reversed entries. The
-- players are locked.
-- +goose StatementBegin
CREATE FUNCTION cancel_credits_v1(p_items add_item_v1[], p_open open_v1[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    WITH less AS MATERIALIZED (
        SELECT t.no, t.player, l.*, CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END AS sign, b.ties
        FROM (
            SELECT i.board, i.player, c.no, array_agg(i.reverses) AS gone, sum(i.points)::bigint AS points, sum(i.tiebreak)::bigint AS tiebreak
            FROM unnest(p_items) i
            CROSS JOIN LATERAL unnest((p_open[i.spans]).periods) AS c (no)
            WHERE i.reverses IS NOT NULL
            GROUP BY i.board, i.player, c.no
        ) t
        JOIN boards b ON b.no = t.board
        JOIN periods q ON q.no = t.no
        CROSS JOIN LATERAL (
            SELECT s.score, s.tiebreak FROM standings s WHERE s.period = t.no AND s.player = t.player LIMIT 1) s
        LEFT JOIN LATERAL (
            -- A sum is subtracted from. Of its credits no more are read than it
            -- takes to find when it was reached.
            SELECT s.score + t.points AS score, s.tiebreak + t.tiebreak AS tiebreak, coalesce(c.latest, c.earliest) AS reached_at,
                c.latest IS NOT NULL AS moved
            FROM (
                SELECT c.latest, CASE WHEN c.latest IS NULL THEN (
                    SELECT c.occurred_at FROM credits_v1(t.board, t.player, t.no, q.start_at, q.end_at, t.gone) c
                    ORDER BY c.player, c.occurred_at
                    LIMIT 1) END AS earliest
                FROM (
                    SELECT (
                        SELECT c.occurred_at FROM credits_v1(t.board, t.player, t.no, q.start_at, q.end_at, t.gone) c
                        WHERE c.points <> 0 OR c.tiebreak <> 0
                        ORDER BY c.player DESC, c.occurred_at DESC
                        LIMIT 1) AS latest
                    OFFSET 0
                ) c
                WHERE b.combine = 'sum'
                OFFSET 0
            ) c
            WHERE coalesce(c.latest, c.earliest) IS NOT NULL
            UNION ALL
            SELECT c.*
            FROM credits_left_v1(t.board, t.player, t.no, q.start_at, q.end_at, b.combine, CASE b."order" WHEN 'desc' THEN -1 ELSE 1 END, t.gone) c
            WHERE b.combine <> 'sum'
        ) l ON true
    ), without AS (
        DELETE FROM standings s
        USING less l
        WHERE s.period = l.no AND s.player = l.player AND l.score IS NULL
    )
    UPDATE standings s
    SET score = l.score, tiebreak = l.tiebreak, reached_at = l.reached_at, moved = l.moved, key_score = l.sign * l.score,
        key_tiebreak = l.sign * l.tiebreak, key_reached = CASE l.ties WHEN 'first' THEN l.reached_at ELSE '-infinity' END
    FROM less l
    WHERE s.period = l.no AND s.player = l.player AND l.score IS NOT NULL;
END $$;
-- +goose StatementEnd

-- Refuses the first item that takes a score or a tiebreak out of its range,
-- where it is out of it after all items. The standings are those after them.
-- +goose StatementBegin
CREATE FUNCTION check_ranges_v1(p_items add_item_v1[], p_open open_v1[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    c_max constant bigint := 9007199254740991;
    v_item  integer;
    v_cause text;
BEGIN
    -- Which item took a sum out of its range: what it was after
    -- each item follows from what it is after all of them.
    SELECT x.item, CASE WHEN x.score BETWEEN -c_max AND c_max THEN 'tiebreak-range' ELSE 'range' END
    INTO v_item, v_cause
    FROM (
        -- What is back in its range after all of them is no matter.
        SELECT i.item,
            CASE WHEN s.score BETWEEN -c_max AND c_max THEN 0 ELSE s.score - coalesce(sum(i.points) OVER later, 0) END AS score,
            CASE WHEN s.tiebreak BETWEEN -c_max AND c_max THEN 0 ELSE s.tiebreak - coalesce(sum(i.tiebreak) OVER later, 0) END AS tiebreak
        FROM unnest(p_items) i
        CROSS JOIN LATERAL unnest((p_open[i.spans]).periods) AS c (period)
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
END $$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION entry_event_v1, entry_notify_v1, refuse_v1, numbered_v1, check_daily_caps_v1, cancel_credits_v1, check_ranges_v1 FROM PUBLIC;
