-- Proposes users as players, or ends their links where the user is null. The four
-- lists are parallel; of several items of one player the last one counts. p_person is
-- the person who proposes, null for an API key of the previous release, which may not.
-- The players are locked.
--
-- A new proposal ends the link that the player had, and replaces another proposal. Nothing
-- changes if the user is linked already, or has yet to answer the same proposal. It
-- refuses an item that proposes a user who has declined to be this player, and see
-- internal.count_proposals.
--
-- The user of a link that ends is told, and the one that is proposed, unless they act
-- themselves or the board is a draft. A proposal that ends was never in force, so that
-- nobody is told.
CREATE OR REPLACE FUNCTION internal.change_links(p_boards integer[], p_players text[], p_users text[], p_items integer[],
    p_actor text, p_person text, p_traceparent text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_boards  integer[]; -- what changes
    v_players text[];
    v_users   text[];
    v_items   integer[];
    v_item    integer;
BEGIN
    IF p_person IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(c.board), array_agg(c.player), array_agg(c.user_id), array_agg(c.item)
    INTO v_boards, v_players, v_users, v_items
    FROM (
        SELECT DISTINCT ON (i.board, i.player) i.board, i.player, i.user_id, i.item
        FROM unnest(p_boards, p_players, p_users, p_items) AS i (board, player, user_id, item)
        ORDER BY i.board, i.player, i.item DESC
    ) c
    CROSS JOIN LATERAL (
        SELECT p.user_id, p.proposed_user, p.link_state FROM players p WHERE p.board = c.board AND p.id = c.player COLLATE "C" LIMIT 1) p
    WHERE CASE WHEN c.user_id IS NULL THEN coalesce(p.user_id, p.proposed_user) IS NOT NULL
        ELSE c.user_id IS DISTINCT FROM p.user_id AND (c.user_id, 'proposed') IS DISTINCT FROM (p.proposed_user, p.link_state) END;
    IF v_boards IS NULL THEN
        RETURN;
    END IF;

    SELECT c.item INTO v_item
    FROM unnest(v_boards, v_players, v_users, v_items) AS c (board, player, user_id, item)
    CROSS JOIN LATERAL (
        SELECT FROM link_refusals r WHERE r.board = c.board AND r.player = c.player COLLATE "C" AND r.user_id = c.user_id LIMIT 1) r
    ORDER BY c.item
    LIMIT 1;
    IF FOUND THEN
        PERFORM internal.refuse('link-declined', v_item);
    END IF;
    PERFORM internal.count_proposals(v_users, v_items);

    WITH change AS MATERIALIZED (
        SELECT c.board, c.player, c.user_id AS proposed, coalesce(p.user_id, p.proposed_user) AS ended, p.link_state, p.user_id AS linked,
            greatest(plaudit_now(), p.recorded_at + interval '1 microsecond') AS at
        FROM unnest(v_boards, v_players, v_users) AS c (board, player, user_id)
        CROSS JOIN LATERAL (
            SELECT p.user_id, p.proposed_user, p.link_state, p.recorded_at FROM players p WHERE p.board = c.board AND p.id = c.player COLLATE "C" LIMIT 1) p
    ), event AS MATERIALIZED (
        SELECT c.board, c.player, e.*
        FROM change c
        CROSS JOIN LATERAL (VALUES
            ('plaudit.player.link-ended', c.ended, c.linked, jsonb_build_object('user', c.ended, 'state', CASE WHEN c.linked IS NULL THEN c.link_state ELSE 'accepted' END), c.at),
            ('plaudit.player.link-proposed', c.proposed, c.proposed, jsonb_build_object('user', c.proposed, 'by', p_person),
                c.at + CASE WHEN c.ended IS NULL THEN interval '0' ELSE interval '1 microsecond' END)
        ) AS e (type, user_id, told, data, at)
        WHERE e.user_id IS NOT NULL
    ), changed AS (
        UPDATE players p
        SET user_id = NULL, proposed_user = c.proposed, proposed_by = CASE WHEN c.proposed IS NOT NULL THEN p_person END,
            proposed_at = CASE WHEN c.proposed IS NOT NULL THEN c.at END, link_state = CASE WHEN c.proposed IS NOT NULL THEN 'proposed' END,
            recorded_at = (SELECT max(e.at) FROM event e WHERE e.board = c.board AND e.player = c.player)
        FROM change c
        WHERE p.board = c.board AND p.id = c.player COLLATE "C"
    )
    INSERT INTO outbox (kind, type, subject, actor, notify, data, recordedtime, traceparent)
    SELECT 'event', e.type, 'board/' || b.id || '/player/' || e.player, p_actor, internal.opened_notified(e.board, e.type, p_person, e.told), e.data::text, e.at, p_traceparent
    FROM event e
    CROSS JOIN LATERAL (SELECT b.id FROM boards b WHERE b.no = e.board LIMIT 1) b
    ORDER BY e.board, e.player, e.at;
END $$;
