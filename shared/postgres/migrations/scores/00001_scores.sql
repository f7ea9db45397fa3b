-- +goose Up

-- The database's time, in one place, so that tests can set it.
CREATE FUNCTION plaudit_now() RETURNS timestamptz
LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

-- Tables name a board by its number, which is shorter than its id. Nothing
-- refers to boards by a foreign key: a check of one locks the board's row, and
-- every add would meet every other there. A board is never deleted.
--
-- The tables that an add writes carry no CHECK: each would be parsed anew for
-- every statement, together a tenth of an add. Only functions write them.
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
    -- recordedtime of the newest event of the board itself; the next is later.
    changed_at timestamptz NOT NULL
);

-- Whoever adds to a player locks this row first: it hands out seq and the
-- times of events, and makes changes of the player's standings follow each
-- other.
CREATE TABLE players (
    board        integer NOT NULL,
    id           text COLLATE "C" NOT NULL,
    seq          bigint NOT NULL,      -- how many entries there are
    recorded_at  timestamptz NOT NULL, -- of the newest entry; the next is later
    status       text NOT NULL DEFAULT 'ranked', -- hidden, under_review, disqualified, dnf, dns: not in ranks
    display_name text,
    country      text,
    attributes   jsonb NOT NULL DEFAULT '{}', -- an object of texts
    user_id      text,
    note         text, -- why the status is what it is
    PRIMARY KEY (board, id)
) WITH (fillfactor = 80); -- seq changes with every entry, in the same page

CREATE INDEX players_user ON players (user_id, board, id) WHERE user_id IS NOT NULL;

-- One run of a period of a board, made by the first entry in it. `all` runs
-- from -infinity to infinity. It is closed when plaudit_now() has reached
-- end_at + the board's grace; nothing is written for that.
CREATE TABLE periods (
    no       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    board    integer NOT NULL,
    name     text COLLATE "C" NOT NULL,
    start_at timestamptz NOT NULL,
    end_at   timestamptz NOT NULL CHECK (end_at > start_at),
    UNIQUE (board, name, start_at)
);

-- Which periods of a board are still open: those that ended late enough.
CREATE INDEX periods_end ON periods (board, end_at);

-- A player's score in one run of a period, with the player's status and the
-- values of the attributes that the board's categories name, in their order.
-- These copies follow the player while the period is open, and stay when it is
-- closed. The three keys are what tables are sorted by, ascending in every column, so that an index serves a comparison
-- of all of them: score and tiebreak are negated where more is better, and
-- key_reached is -infinity where ties share a rank.
CREATE TABLE standings (
    period       bigint NOT NULL,
    player       text COLLATE "C" NOT NULL,
    score        bigint NOT NULL,
    tiebreak     bigint NOT NULL,
    reached_at   timestamptz NOT NULL,
    moved        boolean NOT NULL, -- a credit with points or tiebreak other than 0 is in it
    status       text NOT NULL,
    cat1         text COLLATE "C",
    cat2         text COLLATE "C",
    cat3         text COLLATE "C",
    cat4         text COLLATE "C",
    key_score    bigint NOT NULL,
    key_tiebreak bigint NOT NULL,
    key_reached  timestamptz NOT NULL,
    PRIMARY KEY (period, player)
-- Vacuumed ten times as often as other tables: what is counted for a rank need
-- not be looked up in pages that have been vacuumed since they changed.
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);

CREATE INDEX standings_rank ON standings (period, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked';
-- A table of a category is a range of one of these.
CREATE INDEX standings_cat1 ON standings (period, cat1, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked' AND cat1 IS NOT NULL;
CREATE INDEX standings_cat2 ON standings (period, cat2, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked' AND cat2 IS NOT NULL;
CREATE INDEX standings_cat3 ON standings (period, cat3, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked' AND cat3 IS NOT NULL;
CREATE INDEX standings_cat4 ON standings (period, cat4, key_score, key_tiebreak, key_reached, player)
    WHERE status = 'ranked' AND cat4 IS NOT NULL;

-- The ledger. Rows are never changed.
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
    periods     bigint[] NOT NULL, -- that it credited, or of its original's those in which it cancelled the credit
    scores      bigint[] NOT NULL  -- what the standings in them became; null: none was left
);

-- A player's entries of a time, which make a standing anew and count towards a
-- daily cap; and the lists.
CREATE INDEX entries_player ON entries (board, player, occurred_at, id);
CREATE INDEX entries_board ON entries (board, occurred_at, id);
CREATE INDEX entries_batch ON entries (batch) WHERE batch IS NOT NULL; -- at most 1,000 have one
-- An entry is reversed once.
CREATE UNIQUE INDEX entries_reverses ON entries (reverses) WHERE reverses IS NOT NULL;

-- Idempotency keys. They stand apart from the entries because they are locked
-- before the players: a key that somebody else is just writing makes an add
-- wait here, and then find the entry of the first.
CREATE TABLE entry_keys (
    board  integer NOT NULL,
    key    text COLLATE "C" NOT NULL,
    digest bytea NOT NULL, -- of the request, SHA-256
    entry  uuid NOT NULL,
    PRIMARY KEY (board, key)
);

-- Events on their way to the audit log, written with what they tell of. A row
-- of an entry holds its id and is rendered from it; any other holds its data.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type         text NOT NULL,
    recordedtime timestamptz NOT NULL,
    traceparent  text NOT NULL,
    notify       text, -- the user to be told by mail
    entry        uuid,
    subject      text,
    actor        text,
    data         text
);

-- An entry with all that its answer shows.
CREATE VIEW ledger AS
SELECT e.id, (SELECT b.id FROM boards b WHERE b.no = e.board) AS board, e.player, e.seq, e.kind, e.points, e.tiebreak, e.reason, e.note, e.actor,
       e.occurred_at, e.recorded_at, e.batch, e.reverses, e.metadata,
       (SELECT jsonb_agg(jsonb_build_object(
                   'period', p.name, 'score', c.score,
                   'start', CASE WHEN isfinite(p.start_at) THEN p.start_at END) ORDER BY c.n)
        FROM unnest(e.periods, e.scores) WITH ORDINALITY AS c (period, score, n)
        JOIN periods p ON p.no = c.period) AS standings
FROM entries e;

REVOKE ALL ON boards, players, periods, standings, entries, entry_keys, outbox, ledger FROM PUBLIC;
GRANT SELECT ON players, periods, standings, ledger TO score_query;
GRANT SELECT (no, id) ON boards TO score_query;
