-- Returns rows of the outbox by their ids, in the order of these.
CREATE OR REPLACE FUNCTION internal.outbox_rows(p_ids bigint[]) RETURNS SETOF outbox_row_v2
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    RETURN QUERY
        SELECT o.id, o.kind, o.type, o.subject, o.actor, o.notify, o.data, NULL::json,
            o.recordedtime, o.traceparent, o.subjectseq, o.extensions, o.enc, o.batch_size, o.restored, o.sent_at, o.tag
        FROM unnest(p_ids) AS i (id)
        JOIN outbox o ON o.id = i.id
        ORDER BY o.id;
END $$;
