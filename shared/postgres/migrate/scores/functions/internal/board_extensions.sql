-- Returns the extensions of a board's events: its owners, whether anybody may read it, and
-- whether it is a draft, which even its players may not see.
-- The newest event decides who may read the board's log.
CREATE OR REPLACE FUNCTION internal.board_extensions(b boards) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT (jsonb_build_object('owners', array_to_string(b.owners, ','), 'public', b.public AND b.state <> 'draft')
        || CASE WHEN b.state = 'draft' THEN '{"draft": true}'::jsonb ELSE '{}' END)::text
$$;
