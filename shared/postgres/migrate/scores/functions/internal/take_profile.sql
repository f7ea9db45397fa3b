-- Gives a new player of a board of registered players the name and the country of the
-- user, for a trigger of players. That is no change of the player: it is made with them.
CREATE OR REPLACE FUNCTION internal.take_profile() RETURNS trigger
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_profile profiles;
BEGIN
    IF (SELECT b.players FROM boards b WHERE b.no = NEW.board) <> 'registered' THEN
        RETURN NULL;
    END IF;
    v_profile := internal.profile_of(NEW.id);
    IF num_nonnulls(v_profile.display_name, v_profile.country) > 0 THEN
        UPDATE players SET display_name = v_profile.display_name, country = v_profile.country WHERE board = NEW.board AND id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
