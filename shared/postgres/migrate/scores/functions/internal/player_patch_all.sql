-- Returns a player after several patches.
CREATE OR REPLACE AGGREGATE internal.player_patch_all(p_player jsonb, p_patch jsonb) (SFUNC = internal.player_patch, STYPE = jsonb);
