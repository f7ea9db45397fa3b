package rds

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// minMajor is the oldest PostgreSQL that the laptop runs.
const minMajor = 15

// folders are where packages of PostgreSQL put initdb and postgres when they
// do not put them into PATH: Debian, Red Hat, Alpine, Homebrew, Postgres.app.
var folders = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// Installed returns the folder with initdb and postgres: the one named by
// PLAUDIT_POSTGRES_BIN, else the first in PATH, else the newest of the usual
// folders, else one that an earlier Find downloaded. It is "" if none exists. It
// returns an error if PLAUDIT_POSTGRES_BIN names an unusable folder.
func Installed(ctx context.Context) (string, error) {
	if named := os.Getenv("PLAUDIT_POSTGRES_BIN"); named != "" {
		if _, err := usable(ctx, named); err != nil {
			return "", fmt.Errorf("PLAUDIT_POSTGRES_BIN=%s: %w", named, err)
		}
		return named, nil
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := usable(ctx, dir); err == nil && filepath.IsAbs(dir) {
			return dir, nil
		}
	}
	best, bestMajor := "", 0
	for _, pattern := range folders {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("looking for PostgreSQL: %w", err)
		}
		for _, dir := range found {
			version, err := usable(ctx, dir)
			if err == nil && major(version) > bestMajor {
				best, bestMajor = dir, major(version)
			}
		}
	}
	if best != "" {
		return best, nil
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	if bin := filepath.Join(cache, fetchedName, "bin"); hasPrograms(bin) == nil {
		return bin, nil
	}
	return "", nil
}

// Find returns the folder with initdb and postgres, as Installed does, and
// downloads them (about 15 MB, once) if none exists.
func Find(ctx context.Context) (bin string, err error) {
	bin, err = Installed(ctx)
	if err != nil || bin != "" {
		return bin, err
	}
	return fetch()
}

// Version returns the version of the binaries in bin, e.g. "17.5".
func Version(ctx context.Context, bin string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s/postgres --version: %w", bin, err)
	}
	// postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
	words := strings.Fields(string(out))
	i := slices.Index(words, "(PostgreSQL)")
	if i < 0 || i+1 >= len(words) {
		return "", fmt.Errorf("%s/postgres --version answers %q", bin, strings.TrimSpace(string(out)))
	}
	return words[i+1], nil
}

func hasPrograms(dir string) error {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("has no program %s", name)
		}
	}
	return nil
}

func usable(ctx context.Context, dir string) (version string, err error) {
	if err := hasPrograms(dir); err != nil {
		return "", err
	}
	version, err = Version(ctx, dir)
	if err != nil {
		return "", err
	}
	if major(version) < minMajor {
		return "", fmt.Errorf("PostgreSQL %s is too old, %d or later is needed", version, minMajor)
	}
	return version, nil
}

// major reads "17.5", "18beta1" and the "17" of a PG_VERSION file.
func major(version string) int {
	digits := strings.TrimSpace(version)
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// fetched is the version that is downloaded if none is installed: the major
// version that runs in the cloud.
const fetched = embeddedpostgres.V17

const fetchedName = "postgresql-" + string(fetched)

func fetch() (bin string, err error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("a cache folder for PostgreSQL: %w", err)
	}
	if err := os.Chmod(cache, 0o755); err != nil { // whatever the umask
		return "", fmt.Errorf("a cache folder for PostgreSQL: %w", err)
	}
	// Unpacked aside and renamed, so that an interrupted fetch leaves nothing
	// that looks complete.
	aside, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", fmt.Errorf("a cache folder for PostgreSQL: %w", err)
	}
	defer os.RemoveAll(aside)
	binaries := filepath.Join(aside, "binaries")

	// The library has no call that only fetches. An encoding that does not
	// exist ends its Start after the unpacking, before it would run a server
	// that no guard of ours watches.
	startErr := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(fetched).
		Port(0).
		Encoding("none").
		CachePath(aside).
		RuntimePath(filepath.Join(aside, "runtime")).
		BinariesPath(binaries).
		Logger(nil)).Start()
	if hasPrograms(filepath.Join(binaries, "bin")) != nil {
		if startErr == nil {
			startErr = errors.New("the archive has no programs")
		}
		return "", fmt.Errorf("fetching PostgreSQL %s (or install it: apt-get install postgresql, brew install postgresql@17): %w", fetched, startErr)
	}
	// Under root the server runs as another user, who must be able to read it.
	err = filepath.WalkDir(binaries, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		return "", fmt.Errorf("unpacking PostgreSQL: %w", err)
	}
	final := filepath.Join(cache, fetchedName)
	if err := os.Rename(binaries, final); err != nil && hasPrograms(filepath.Join(final, "bin")) != nil {
		return "", fmt.Errorf("unpacking PostgreSQL: %w", err)
	}
	return filepath.Join(final, "bin"), nil
}

// cacheDir holds what was fetched, for every checkout. Root's own cache cannot
// be entered by the user that the server runs as.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return shared("cache")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a cache folder for PostgreSQL: %w", err)
	}
	return filepath.Join(dir, "plaudit"), nil
}
