-- outbox_take_v2 for a relay of the previous release. Of the events it takes those without
-- tag, because that relay knows no other ids; while it runs, new ones are such.
CREATE OR REPLACE FUNCTION outbox_take_v1(p_enc integer, p_limit integer, p_bytes bigint) RETURNS SETOF outbox_row_v1
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    c_entry CONSTANT integer := 2000; -- about the size of an entry's event
    v_ids bigint[];
BEGIN
    IF pg_sequence_last_value('outbox_untagged') IS DISTINCT FROM 1 THEN
        PERFORM setval('outbox_untagged', 1);
    END IF;
    v_ids := ARRAY(
        SELECT s.id
        FROM (
            SELECT l.id, sum(l.size) OVER (ORDER BY l.id) - l.size AS before
            FROM (
                SELECT o.id, coalesce(octet_length(o.data), c_entry) AS size
                FROM outbox o
                WHERE o.sent_at IS NULL AND o.enc <= p_enc AND (o.tag IS NULL OR o.kind = 'profile')
                ORDER BY o.id
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED) l
        ) s
        WHERE s.before < p_bytes);
    -- A statement of its own sees the rows as they are since they are locked.
    RETURN QUERY
        SELECT r.id, r.kind, r.type, r.subject, r.actor, r.notify, r.data, r.entry_data, r.recordedtime, r.traceparent,
            r.subjectseq, r.extensions, r.enc, r.batch_size, r.restored, r.sent_at
        FROM internal.outbox_rows(v_ids) r;
END $$;

REVOKE ALL ON FUNCTION outbox_take_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_take_v1 TO users_service;
