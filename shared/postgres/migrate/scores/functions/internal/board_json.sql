-- Returns a board as the API shows it, except for grace, which is in seconds.
CREATE OR REPLACE FUNCTION internal.board_json(b boards) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(b) || jsonb_build_object('grace', extract(epoch FROM b.grace)::bigint || 's')
$$;
