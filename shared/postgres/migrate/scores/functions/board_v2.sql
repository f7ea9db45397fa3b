-- Returns the board if the user may know of it, else null; and why, if neither the
-- board's lists nor p_reads_all say so: an accepted link (linked), or that the user is
-- a player of a board of registered players (own), asked only if p_own. A null p_user
-- is anybody. shared/score has the same rules (permit), and a test holds the two
-- together.
--
-- A board that the user may not know of takes the same work as one that does not
-- exist, or the time would reveal which of the two it is. So the row that is read is
-- that of the first id that is not less; the lists are looked up in board_people,
-- because reading long lists of a row takes time; and what can be large is read
-- only of a board that is returned. It is PL/pgSQL, because a session keeps the plans
-- of PL/pgSQL functions and of no SQL function.
CREATE OR REPLACE FUNCTION board_v2(p_board text, p_user text, p_reads_all boolean, p_own boolean,
    OUT doc jsonb, OUT linked boolean, OUT own boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    v_no         integer;
    v_there      boolean;
    v_opened     boolean;
    v_registered boolean;
    v_listed     boolean;
BEGIN
    linked := false;
    own := false;
    SELECT b.no, b.id = p_board, b.state <> 'draft', b.players = 'registered',
        CASE WHEN b.id = p_board AND (p_reads_all OR b.public AND b.state <> 'draft') THEN internal.board_json(b) END
    INTO v_no, v_there, v_opened, v_registered, doc
    FROM boards b WHERE b.id >= p_board ORDER BY b.id LIMIT 1;
    IF doc IS NOT NULL OR p_user IS NULL THEN
        RETURN;
    END IF;

    v_no := coalesce(v_no, 0); -- no board has it
    v_listed := EXISTS (SELECT FROM board_people l WHERE l.board = v_no AND l.user_id = p_user);
    linked := EXISTS (SELECT FROM players p WHERE p.user_id = p_user AND p.board = v_no);
    own := EXISTS (SELECT FROM players p WHERE p.id = p_user AND p.board = v_no AND p.status <> 'hidden');
    linked := coalesce(v_there AND v_opened AND linked, false);
    own := coalesce(v_there AND v_opened AND v_registered AND p_own AND own, false);
    IF v_there AND v_listed OR linked OR own THEN
        doc := (SELECT internal.board_json(b) FROM boards b WHERE b.no = v_no);
    END IF;
END $$;

REVOKE ALL ON FUNCTION board_v2 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION board_v2 TO score_add, score_query, board_admin;
