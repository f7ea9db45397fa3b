-- Returns the extensions of a board's events: its owners, and whether anybody may read it.
-- The newest event decides who may read the board's log.
CREATE OR REPLACE FUNCTION internal.board_extensions(b boards) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('owners', array_to_string(b.owners, ','), 'public', b.public AND b.state <> 'draft')::text
$$;
