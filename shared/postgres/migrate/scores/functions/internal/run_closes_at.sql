-- Returns when a run of the board that ends at p_end closes. A run is closed once
-- plaudit_now() has reached this instant. No other code knows the rule.
--
-- Of two runs the one that ends later never closes earlier:
-- internal.runs_open_at relies on it. The planner puts the expression in place of
-- the call, which needs STABLE: adding an interval depends on the time zone.
CREATE OR REPLACE FUNCTION internal.run_closes_at(b boards, p_end timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$ SELECT p_end + b.grace $$;
