-- Puts an event that has its own data into the outbox. The data is stored as
-- text, so that later versions of the product send the same bytes.
CREATE OR REPLACE FUNCTION internal.report(p_type text, p_subject text, p_actor text, p_notify text, p_data jsonb,
    p_recordedtime timestamptz, p_traceparent text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO outbox (kind, type, subject, actor, notify, data, recordedtime, traceparent)
    VALUES ('event', p_type, p_subject, p_actor, p_notify, p_data::text, p_recordedtime, p_traceparent);
END $$;
