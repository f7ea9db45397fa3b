-- Counts the proposals of links to their users, null for none, and refuses the first
-- item with which more than 20 would reach one user within 24 hours. The name of the
-- refusal is the number of seconds after which the same request would pass; a request
-- with more than 20 to one user never does.
--
-- The users' locks come after those of the players, and are taken in the order of their
-- keys, because two users may share one.
CREATE OR REPLACE FUNCTION internal.count_proposals(p_users text[], p_items integer[]) RETURNS void
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    c_most CONSTANT integer := 20;
    c_day  CONSTANT interval := interval '24 hours';
    v_lock  bigint;
    v_now   timestamptz;
    v_item  integer;
    v_user  text;
    v_first timestamptz; -- of the proposals that must be a day old
BEGIN
    FOR v_lock IN SELECT DISTINCT internal.user_lock(i.user_id) AS lock FROM unnest(p_users) AS i (user_id) WHERE i.user_id IS NOT NULL ORDER BY lock LOOP
        PERFORM pg_advisory_xact_lock(v_lock);
    END LOOP;
    v_now := plaudit_now();

    SELECT i.item, i.user_id INTO v_item, v_user
    FROM (
        SELECT u.item, u.user_id, row_number() OVER (PARTITION BY u.user_id ORDER BY u.item) AS n
        FROM unnest(p_users, p_items) AS u (user_id, item)
        WHERE u.user_id IS NOT NULL
    ) i
    WHERE i.n + (SELECT count(*) FROM link_proposals p WHERE p.user_id = i.user_id AND p.at > v_now - c_day) > c_most
    ORDER BY i.item
    LIMIT 1;
    IF FOUND THEN
        -- Of the proposals so far, only the newest may count with those of the request.
        SELECT p.at INTO v_first FROM link_proposals p
        WHERE p.user_id = v_user AND p.at > v_now - c_day
        ORDER BY p.at DESC
        OFFSET greatest(0, c_most - (SELECT count(*) FROM unnest(p_users) AS u (user_id) WHERE u.user_id = v_user))
        LIMIT 1;
        PERFORM internal.refuse('link-limit', v_item, NULL, ceil(extract(epoch FROM coalesce(v_first, v_now) + c_day - v_now))::bigint::text);
    END IF;

    INSERT INTO link_proposals (user_id, at) SELECT u.user_id, v_now FROM unnest(p_users) AS u (user_id) WHERE u.user_id IS NOT NULL;

    -- Those of other days are at the beginning. Another session may be deleting them.
    DELETE FROM link_proposals
    WHERE id = ANY (ARRAY(
        SELECT p.id FROM link_proposals p
        WHERE p.id = ANY (ARRAY(
            SELECT o.id FROM (SELECT o.id, o.at FROM link_proposals o ORDER BY o.id LIMIT 100 + cardinality(p_users)) o
            WHERE o.at <= v_now - c_day))
        FOR UPDATE SKIP LOCKED));
END $$;
