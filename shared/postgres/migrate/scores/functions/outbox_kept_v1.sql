-- outbox_kept_v2 for the previous release, which knows only the ids of events without tag.
CREATE OR REPLACE FUNCTION outbox_kept_v1(p_after bigint, p_ids bigint[], p_limit integer) RETURNS SETOF outbox_row_v1
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    IF p_ids IS NULL THEN
        p_ids := ARRAY(SELECT o.id FROM outbox o WHERE o.id > p_after AND o.kind = 'event' AND o.tag IS NULL ORDER BY o.id LIMIT p_limit);
    END IF;
    RETURN QUERY
        SELECT r.id, r.kind, r.type, r.subject, r.actor, r.notify, r.data, r.entry_data, r.recordedtime, r.traceparent,
            r.subjectseq, r.extensions, r.enc, r.batch_size, r.restored, r.sent_at
        FROM internal.outbox_rows(p_ids) r
        WHERE r.kind = 'event' AND r.tag IS NULL;
END $$;

REVOKE ALL ON FUNCTION outbox_kept_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_kept_v1 TO db_check;
