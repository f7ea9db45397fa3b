-- Returns when a run of the board that ends at p_end closes: with the board's grace
-- after its end. While the board is a draft, that is never, and no earlier than when
-- it was opened. A run is closed once plaudit_now() has reached this instant. No
-- other code knows the rule.
--
-- A board that never was a draft was opened when it was made.
--
-- Of two runs the one that ends later never closes earlier:
-- internal.runs_open_at relies on it. The planner puts the expression in place of
-- the call, which needs STABLE: adding an interval depends on the time zone.
CREATE OR REPLACE FUNCTION internal.run_closes_at(b boards, p_end timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT greatest(p_end + b.grace, CASE WHEN b.opened_at IS NULL THEN 'infinity' WHEN b.opened_at > b.created_at THEN b.opened_at END)
$$;
