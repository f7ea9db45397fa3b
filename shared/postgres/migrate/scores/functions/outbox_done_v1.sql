-- Marks rows as sent, which the caller has locked; a profile has no further use and is
-- deleted. Rows that can never be sent are set aside with the parallel reasons.
CREATE OR REPLACE FUNCTION outbox_done_v1(p_sent bigint[], p_failed bigint[], p_reasons text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    DELETE FROM outbox WHERE id = ANY (p_sent) AND kind = 'profile' AND sent_at IS NULL;
    UPDATE outbox SET sent_at = plaudit_now() WHERE id = ANY (p_sent) AND sent_at IS NULL;
    WITH failed AS (
        DELETE FROM outbox o
        USING unnest(p_failed, p_reasons) AS f (id, reason)
        WHERE o.id = f.id AND o.sent_at IS NULL
        RETURNING o.*, f.reason
    )
    INSERT INTO outbox_failed (id, kind, type, subject, actor, notify, entry, data, recordedtime, traceparent,
        subjectseq, extensions, enc, batch_size, restored, tag, reason, failed_at)
    SELECT f.id, f.kind, f.type, f.subject, f.actor, f.notify, f.entry, f.data, f.recordedtime, f.traceparent,
        f.subjectseq, f.extensions, f.enc, f.batch_size, f.restored, f.tag, f.reason, plaudit_now()
    FROM failed f;
END $$;

REVOKE ALL ON FUNCTION outbox_done_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_done_v1 TO outbox_relay;
