-- Returns when a run of the board that ends at p_end closes: with the board's grace
-- after its end, or when the board was opened, if that was later; never while the
-- board is a draft. A run is closed once plaudit_now() has reached this instant. No
-- other code knows the rule.
--
-- Of two runs the one that ends later never closes earlier:
-- internal.runs_open_at relies on it. The planner puts the expression in place of
-- the call, which needs STABLE: adding an interval depends on the time zone.
CREATE OR REPLACE FUNCTION internal.run_closes_at(b boards, p_end timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$ SELECT greatest(p_end + b.grace, coalesce(b.opened_at, 'infinity')) $$;
