package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"plaudit/local/rds"
	"plaudit/local/template"
)

// preflight looks for what the machine and the folder must have, and names all
// that is missing at once, with the way to get it. It gives the configuration
// and the folder of PostgreSQL's programs, which it fetches where they are not
// installed.
func preflight(ctx context.Context, root, configFile, env string, s *screen) (config template.Config, postgres string, err error) {
	var missing []error
	if _, err := exec.LookPath("go"); err != nil {
		missing = append(missing, errors.New("the toolchain Go 1.26 or later, which builds the functions: https://go.dev/dl (Debian: apt-get install golang-go where that is new enough; macOS: brew install go)"))
	}
	postgres, err = rds.Installed(ctx)
	if err == nil && postgres == "" {
		s.say("PostgreSQL is not installed; fetching it")
		postgres, err = rds.Find(ctx)
	}
	if err != nil {
		missing = append(missing, fmt.Errorf("PostgreSQL 15 or later (Debian: apt-get install postgresql; macOS: brew install postgresql@17), or the network to fetch it: %w", err))
	}
	path := configFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	if _, err := os.Stat(path); err != nil {
		missing = append(missing, fmt.Errorf("%s, which says what to run: start the laptop cloud in the project's own folder", configFile))
		return config, postgres, fmt.Errorf("this is missing:\n%w", errors.Join(missing...))
	}
	config, err = template.ReadConfig(path, env)
	if err != nil {
		missing = append(missing, err)
	} else {
		if _, err := os.Stat(config.Template); err != nil {
			missing = append(missing, fmt.Errorf("the template: %w", err))
		}
		for _, argv := range [][]string{config.Before, config.After} {
			if len(argv) == 0 {
				continue
			}
			if _, err := program(root, argv); err != nil {
				missing = append(missing, fmt.Errorf("the hook's program %s, which `make run` builds: %w", argv[0], err))
			}
		}
	}
	if len(missing) > 0 {
		return config, postgres, fmt.Errorf("this is missing:\n%w", errors.Join(missing...))
	}
	return config, postgres, nil
}
