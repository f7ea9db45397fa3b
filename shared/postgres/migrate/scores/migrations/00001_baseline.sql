-- +goose Up

-- From now on new functions are closed to PUBLIC: each grants what it must.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- What only other functions call. No role but the owner has USAGE of it.
CREATE SCHEMA internal;

-- Tables refer to a board by its number, which is shorter than its id. No
-- foreign key refers to boards: checking one locks the board's row, and all adds
-- to the board would meet there. A board is never deleted.
--
-- The tables that an add writes carry almost no CHECK: the server prepares each
-- for every statement, together a tenth of an add. Only functions write them.
CREATE TABLE boards (
    no         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text COLLATE "C" NOT NULL UNIQUE CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    title      text NOT NULL,
    combine    text NOT NULL CHECK (combine IN ('sum', 'best', 'last')),
    "order"    text NOT NULL CHECK ("order" IN ('desc', 'asc')),
    ties       text NOT NULL CHECK (ties IN ('first', 'shared')),
    periods    jsonb NOT NULL CHECK (jsonb_typeof(periods) = 'array'), -- as in the API
    categories text[] NOT NULL,
    time_zone  text NOT NULL,
    catalogue  jsonb CHECK (jsonb_typeof(catalogue) = 'object'),       -- null: points are free
    min        bigint NOT NULL,
    max        bigint,
    daily_cap  bigint,
    decimals   smallint NOT NULL CHECK (decimals BETWEEN 0 AND 6),
    unit       text NOT NULL,
    grace      interval NOT NULL CHECK (grace >= interval '0'),
    players    text NOT NULL CHECK (players IN ('any', 'registered')),
    public     boolean NOT NULL,
    owners     text[] NOT NULL CHECK (cardinality(owners) > 0),
    writers    text[] NOT NULL,
    viewers    text[] NOT NULL,
    state      text NOT NULL CHECK (state IN ('open', 'closed', 'archived')),
    version    bigint NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL -- recordedtime of the board's newest event; the next one is later
);

-- Lists find boards by the beginning of an id or a title, and by the people
-- they name. Most lists are of public boards.
CREATE INDEX boards_public ON boards (id) WHERE public AND state <> 'archived';
CREATE INDEX boards_public_title ON boards ((lower(title)) COLLATE "C", id) WHERE public AND state <> 'archived';
CREATE INDEX boards_title ON boards ((lower(title)) COLLATE "C", id) WHERE state <> 'archived';
CREATE INDEX boards_people ON boards USING gin ((owners || writers || viewers));

-- An add locks the rows of its players: they hand out seq and the times of
-- events, and serialise the changes of a player's standings.
CREATE TABLE players (
    board        integer NOT NULL,
    id           text COLLATE "C" NOT NULL,
    seq          bigint NOT NULL,      -- how many entries the player has
    recorded_at  timestamptz NOT NULL, -- of the player's newest event; the next one is later
    status       text NOT NULL DEFAULT 'ranked', -- hidden, under_review, disqualified, dnf, dns: not in ranks
    display_name text,
    country      text,
    attributes   jsonb NOT NULL DEFAULT '{}', -- an object of texts
    user_id      text,
    note         text, -- why the status is what it is
    PRIMARY KEY (board, id)
) WITH (fillfactor = 80); -- seq changes with every entry, within the page

CREATE INDEX players_user ON players (user_id, board, id) WHERE user_id IS NOT NULL;
-- One country's part of a table, if it is a small part.
CREATE INDEX players_country ON players (board, country) WHERE country IS NOT NULL;

-- The runs of boards' periods; the first entry in a run makes its row. `all`
-- runs from -infinity to infinity. internal.run_closes_at decides when a run
-- closes; nothing is written then.
CREATE TABLE runs (
    no       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    board    integer NOT NULL,
    period   text COLLATE "C" NOT NULL,
    start_at timestamptz NOT NULL,
    end_at   timestamptz NOT NULL CHECK (end_at > start_at),
    UNIQUE (board, period, start_at)
);

CREATE INDEX runs_end ON runs (board, end_at);
CREATE INDEX runs_start ON runs (board, start_at, period);

-- A player's score in one run, with copies of the player's status and of the
-- values of the board's categories, in their order. The copies follow the player
-- while the run is open, and stay when it is closed.
--
-- Tables are sorted by the three keys, all ascending, so that an index serves a
-- comparison of all three: score and tiebreak are negated if more is better, and
-- key_reached is -infinity if ties share a rank.
CREATE TABLE standings (
    run          bigint NOT NULL,
    player       text COLLATE "C" NOT NULL,
    score        bigint NOT NULL,
    tiebreak     bigint NOT NULL,
    reached_at   timestamptz NOT NULL,
    nonzero      boolean NOT NULL, -- a credit with points or a tiebreak other than 0 is in it
    status       text NOT NULL,
    cat1         text COLLATE "C",
    cat2         text COLLATE "C",
    cat3         text COLLATE "C",
    cat4         text COLLATE "C",
    key_score    bigint NOT NULL,
    key_tiebreak bigint NOT NULL,
    key_reached  timestamptz NOT NULL,
    PRIMARY KEY (run, player)
-- Vacuumed ten times as often as other tables: counting for a rank need not
-- visit pages that have been vacuumed since they last changed.
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);

CREATE INDEX standings_rank ON standings (run, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked';
-- The table of a category value is a range of one of these.
CREATE INDEX standings_cat1 ON standings (run, cat1, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked' AND cat1 IS NOT NULL;
CREATE INDEX standings_cat2 ON standings (run, cat2, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked' AND cat2 IS NOT NULL;
CREATE INDEX standings_cat3 ON standings (run, cat3, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked' AND cat3 IS NOT NULL;
CREATE INDEX standings_cat4 ON standings (run, cat4, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked' AND cat4 IS NOT NULL;

-- The ledger. Rows never change.
CREATE TABLE entries (
    id          uuid PRIMARY KEY,
    board       integer NOT NULL,
    player      text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    kind        text NOT NULL, -- result, adjustment, import, reversal
    points      bigint NOT NULL,
    tiebreak    bigint NOT NULL,
    reason      text,
    note        text,
    actor       text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL, -- strictly increasing per player, and the event's recordedtime
    batch       uuid,
    reverses    uuid,              -- the entry that it cancels
    metadata    text,              -- compact JSON, byte for byte
    runs        bigint[] NOT NULL, -- that it credited, in the order of the board's periods; of a reversal: in which it cancelled the credit
    scores      bigint[] NOT NULL  -- the scores that it left in these runs, in their order; null: no standing
);

-- A player's entries of a time, from which a standing is recomputed and which
-- count towards a daily cap; and the lists, each with the column it filters by.
CREATE INDEX entries_player ON entries (board, player, occurred_at, id);
CREATE INDEX entries_board ON entries (board, occurred_at, id);
CREATE INDEX entries_batch ON entries (batch) WHERE batch IS NOT NULL; -- at most 1,000 have one
CREATE INDEX entries_kind ON entries (board, kind, occurred_at, id);
CREATE INDEX entries_actor ON entries (board, actor, occurred_at, id);
CREATE INDEX entries_reason ON entries (board, reason, occurred_at, id) WHERE reason IS NOT NULL;
-- An entry is reversed once.
CREATE UNIQUE INDEX entries_reverses ON entries (reverses) WHERE reverses IS NOT NULL;

-- Idempotency keys. They are apart from the entries because they are locked
-- before the players: an add waits here for a key that another session is
-- writing, and then finds the other's entry.
CREATE TABLE entry_keys (
    board  integer NOT NULL,
    key    text COLLATE "C" NOT NULL,
    digest bytea NOT NULL, -- of the request, SHA-256
    entry  uuid NOT NULL,
    PRIMARY KEY (board, key)
);

-- Messages on their way out, committed with the change that they report. The
-- table has the same columns in both databases. A row of an entry holds the
-- entry's id, and its event is rendered from the ledger; any other row holds its
-- data.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL, -- event: for the audit log; profile: a user's public profile
    type         text,          -- of an event, as shared/event lists them
    subject      text,          -- null if entry is set
    actor        text,          -- null if entry is set
    notify       text,          -- the user to notify by mail
    entry        uuid,
    data         text,          -- JSON; null if entry is set
    recordedtime timestamptz NOT NULL, -- strictly increasing per subject
    -- Cheaper than a regular expression: hex digits and hyphens, and no hyphen but
    -- the three.
    traceparent  text NOT NULL CHECK (traceparent LIKE '00-________________________________-________________-__'
                                  AND ltrim(traceparent, '0123456789abcdef-') = '' AND traceparent NOT LIKE '%-%-%-%-%'),
    sent_at      timestamptz    -- null: the relay has yet to send it
);

-- An entry with all that its answer shows.
CREATE VIEW ledger AS
SELECT e.id, (SELECT b.id FROM boards b WHERE b.no = e.board) AS board, e.player, e.seq, e.kind, e.points, e.tiebreak, e.reason, e.note, e.actor,
       e.occurred_at, e.recorded_at, e.batch, e.reverses, e.metadata,
       (SELECT json_agg(json_build_object(
                   'period', r.period, 'score', c.score,
                   'start', CASE WHEN isfinite(r.start_at) THEN r.start_at END) ORDER BY c.n)
        FROM unnest(e.runs, e.scores) WITH ORDINALITY AS c (run, score, n)
        JOIN runs r ON r.no = c.run) AS standings
FROM entries e;

-- What Go passes to add_entries_v1: an entry or a reversal to be written, see
-- score.Item. For a reversal, the fields from player to metadata are null, except
-- note and occurred_at: the original has them. The collations are those of the
-- tables, so that their indexes can be used.
CREATE TYPE add_item_v1 AS (
    item        integer, -- its index in the request, from 0
    id          uuid,
    board       text COLLATE "C",
    version     bigint,           -- of the board by which the item was made
    player      text COLLATE "C",
    key         text COLLATE "C", -- null: not protected against repetition
    digest      bytea,            -- of the request, SHA-256
    refused     boolean,          -- by its board: it may be replayed, and never written
    late        boolean,
    kind        text,
    points      bigint,
    tiebreak    bigint,
    reason      text,
    note        text,
    occurred_at timestamptz,
    metadata    text,
    reverses    uuid,
    new_user    text,        -- the user to whom the player belongs if it is new
    profile     jsonb,       -- a JSON merge patch (RFC 7396)
    day_start   timestamptz, -- the day in which the board's daily cap counts it
    day_end     timestamptz,
    run_set     integer      -- the runs that it credits, see add_run_v1; a reversal has a number of its own
);

-- One run of a set. Many items credit the same set, so Go passes each set once.
-- start_at or end_at is null if the run has no beginning or no end. The runs of a
-- set are in the order of the board's periods.
CREATE TYPE add_run_v1 AS (
    run_set  integer,
    board    text COLLATE "C",
    period   text COLLATE "C",
    start_at timestamptz,
    end_at   timestamptz
);

-- A place in a table, by the keys of standings. (Score, tiebreak, reached, '')
-- comes before every player with these keys.
CREATE TYPE place_v1 AS (score bigint, tiebreak bigint, reached timestamptz, player text COLLATE "C");

-- An item on its way through the steps of add_entries_v1. The comments name the step
-- that sets the fields below them.
CREATE TYPE internal.item AS (
    -- internal.resolve_items, and of a reversal internal.resolve_reversals.
    item          integer,          -- as in sent
    sent          add_item_v1,
    board         integer,          -- its number
    player        text COLLATE "C", -- null: the entry to be reversed does not exist
    kind          text,
    points        bigint,
    tiebreak      bigint,
    -- internal.resolve_reversals: what else the original of a reversal says.
    original_runs bigint[],         -- that it credited
    counted_at    timestamptz,      -- when it counted towards a daily cap
    final         boolean,          -- it is a reversal, or reversed already
    -- internal.place_items: the open runs in which the item credits or cancels, in
    -- the order of the board's periods; and what it has from its player.
    runs          bigint[],
    seq           bigint,
    recorded_at   timestamptz,
    status        text,
    attributes    jsonb,
    user_id       text
);

-- The items of a request, and what is among them.
CREATE TYPE internal.request AS (
    items         internal.item[],
    stale         boolean, -- an item was made by another version of its board
    has_refused   boolean,
    has_runless   boolean, -- an item is outside of every period of its board
    has_keys      boolean,
    has_reversals boolean,
    has_profiles  boolean,
    has_caps      boolean
);

-- The open runs of a set, in the order of the board's periods, and whether other
-- runs of the set are closed.
CREATE TYPE internal.run_set AS (run_set integer, runs bigint[], partial boolean);

-- Sets of runs, when the first of the open runs closes, and whether any is closed.
CREATE TYPE internal.opened AS (sets internal.run_set[], open_until timestamptz, any_closed boolean);

-- A player before and after the profiles of a request, see internal.player_json.
CREATE TYPE internal.player_change AS (board integer, player text COLLATE "C", old jsonb, new jsonb);

-- A credit, and also what several of them combine to.
CREATE TYPE internal.credit AS (score bigint, tiebreak bigint, reached_at timestamptz, nonzero boolean);

REVOKE ALL ON boards, players, runs, standings, entries, entry_keys, outbox, ledger FROM PUBLIC;
GRANT SELECT (no, id, title, public, state, owners, writers, viewers) ON boards TO score_query;
GRANT SELECT ON players, runs, standings, ledger TO score_query;
GRANT SELECT (id, board, player, kind, reason, actor, batch, occurred_at) ON entries TO score_query;
GRANT SELECT, UPDATE (sent_at), DELETE ON outbox TO outbox_relay;
GRANT SELECT ON ledger TO outbox_relay;
