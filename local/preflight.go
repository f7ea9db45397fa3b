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

// preflight checks the machine and the folder, and reports everything that is
// missing at once, with the way to get it. It returns the configuration and the
// folder of PostgreSQL's programs, which it downloads if none are installed.
func preflight(ctx context.Context, root, configFile, env string, s *screen) (config template.Config, postgres string, err error) {
	var missing []error
	if _, err := exec.LookPath("go"); err != nil {
		missing = append(missing, errors.New("the toolchain Go 1.26, or one from Go 1.21 on, which downloads it: https://go.dev/dl (Debian 13: apt-get install golang-go; Debian 12's 1.19 is too old; macOS: brew install go)"))
	}
	postgres, err = rds.Installed(ctx)
	if err == nil && postgres == "" {
		s.say("PostgreSQL is not installed; downloading it")
		postgres, err = rds.Find(ctx)
	}
	if err != nil {
		missing = append(missing, fmt.Errorf("PostgreSQL 15 or later (Debian: apt-get install postgresql; macOS: brew install postgresql@17), or a network to download it: %w", err))
	}
	path := configFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	if _, err := os.Stat(path); err != nil {
		missing = append(missing, fmt.Errorf("%s in this folder: start the laptop cloud in the project's folder", configFile))
		return config, postgres, fmt.Errorf("missing:\n%w", errors.Join(missing...))
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
				missing = append(missing, fmt.Errorf("the hook's program %s (`make run` builds it): %w", argv[0], err))
			}
		}
	}
	if len(missing) > 0 {
		return config, postgres, fmt.Errorf("missing:\n%w", errors.Join(missing...))
	}
	return config, postgres, nil
}
