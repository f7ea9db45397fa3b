-- Recomputes the standings of a board from the ledger and returns those that
-- differ from the stored ones, as {field: value}; null if one of the two is
-- missing. Status and categories are compared in open runs only, where they are
-- the player's present ones. A row of the period `history` is a player whose
-- entries are not numbered from 1 without a gap; one of the period `attributes` is a
-- player whose copies of the categories differ from the attributes. A row with an empty
-- player is a run that does not carry when it closes.
--
-- It is one statement, so all of it is one moment, and adds go on. Only the
-- owner of the database, the master user, and db_check may call it.
CREATE OR REPLACE FUNCTION check_board_v1(p_board text)
RETURNS TABLE (period text, start_at timestamptz, player text, stored jsonb, ledger jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH board AS MATERIALIZED (
        SELECT b AS row, b.no, b.combine, b.ties, b.categories, internal.rank_sign(b) AS sign
        FROM boards b
        WHERE b.id = p_board
    ), pair AS (
        SELECT s.run, s.player
        FROM runs r
        JOIN standings s ON s.run = r.no
        WHERE r.board = (SELECT no FROM board)
        UNION
        SELECT c.run, e.player
        FROM entries e
        CROSS JOIN unnest(e.runs) AS c (run)
        WHERE e.board = (SELECT no FROM board)
    ), compared AS (
        SELECT r.period, nullif(r.start_at, '-infinity') AS start_at, pair.player,
            CASE WHEN s.run IS NOT NULL THEN jsonb_build_object(
                'score', s.score, 'tiebreak', s.tiebreak, 'reached_at', s.reached_at,
                'adj_score', s.adj_score, 'adj_tiebreak', s.adj_tiebreak, 'nonzero', s.nonzero, 'result_at', s.result_at,
                'place', jsonb_build_array(s.key_score, s.key_tiebreak, s.key_reached))
                || CASE WHEN internal.run_closes_at(b.row, r.end_at) > plaudit_now() THEN jsonb_build_object('status', s.status,
                    'categories', to_jsonb((ARRAY[s.cat1, s.cat2, s.cat3, s.cat4])[1:cardinality(b.categories)])) ELSE '{}' END
            END AS stored,
            CASE WHEN l.score IS NOT NULL THEN jsonb_build_object(
                'score', l.score, 'tiebreak', l.tiebreak, 'reached_at', l.reached_at,
                'adj_score', l.adj_score, 'adj_tiebreak', l.adj_tiebreak, 'nonzero', l.nonzero, 'result_at', l.result_at,
                'place', jsonb_build_array(b.sign * l.score, b.sign * l.tiebreak,
                    CASE b.ties WHEN 'first' THEN l.reached_at ELSE '-infinity' END))
                || CASE WHEN internal.run_closes_at(b.row, r.end_at) > plaudit_now() THEN jsonb_build_object('status', p.status,
                    'categories', to_jsonb((ARRAY[p.attributes ->> b.categories[1], p.attributes ->> b.categories[2],
                        p.attributes ->> b.categories[3], p.attributes ->> b.categories[4]])[1:cardinality(b.categories)])) ELSE '{}' END
            END AS ledger
        FROM pair
        CROSS JOIN board b
        JOIN runs r ON r.no = pair.run
        LEFT JOIN players p ON p.board = b.no AND p.id = pair.player
        LEFT JOIN standings s ON s.run = pair.run AND s.player = pair.player
        CROSS JOIN LATERAL internal.recombine(b.no, pair.player, r.no, b.combine, b.sign, '{}', '{}') l
    )
    SELECT period, start_at, player, stored, ledger
    FROM compared
    WHERE stored IS DISTINCT FROM ledger
    UNION ALL
    SELECT 'history', NULL, coalesce(p.id, e.player), jsonb_build_object('seq', p.seq), jsonb_build_object('seq', e.count, 'last', e.last)
    FROM (SELECT player, count(*), max(seq) AS last FROM entries WHERE board = (SELECT no FROM board) GROUP BY player) e
    FULL JOIN (SELECT id, seq FROM players WHERE board = (SELECT no FROM board)) p ON p.id = e.player
    WHERE p.seq IS DISTINCT FROM coalesce(e.count, 0) OR e.last <> e.count
    UNION ALL
    SELECT 'attributes', NULL, c.id, jsonb_build_object('categories', c.copies), jsonb_build_object('categories', c.attributes)
    FROM (
        SELECT p.id, to_jsonb(ARRAY[p.cat1, p.cat2, p.cat3, p.cat4]) AS copies,
            to_jsonb(ARRAY[p.attributes ->> b.categories[1], p.attributes ->> b.categories[2],
                p.attributes ->> b.categories[3], p.attributes ->> b.categories[4]]) AS attributes
        FROM board b
        JOIN players p ON p.board = b.no
    ) c
    WHERE c.copies <> c.attributes
    UNION ALL
    SELECT r.period, nullif(r.start_at, '-infinity'), '', jsonb_build_object('closes_at', r.stored), jsonb_build_object('closes_at', r.ledger)
    FROM board b
    CROSS JOIN LATERAL internal.misdated_runs(b.row) r
    ORDER BY 1, 2, 3
$$;

REVOKE ALL ON FUNCTION check_board_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION check_board_v1 TO pg_database_owner, db_check;
