package rds_test

import (
	"os"
	"path/filepath"
	"testing"

	"plaudit/local/rds"
)

func TestRootBelongsToTheCheckout(t *testing.T) {
	checkout := t.TempDir()
	root := func() string {
		t.Helper()
		dir, err := rds.Root(checkout)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Cleanup(func() {
		if err := rds.Remove(checkout); err != nil {
			t.Error(err)
		}
	})
	first := root()
	data := filepath.Join(first, "data")
	if err := os.WriteFile(data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if again := root(); again != first {
		t.Errorf("%s, then %s", first, again)
	}

	// A checkout made again at the same place.
	if err := os.RemoveAll(filepath.Join(checkout, ".local")); err != nil {
		t.Fatal(err)
	}
	second := root()
	if _, err := os.Stat(filepath.Join(second, "data")); !os.IsNotExist(err) {
		t.Errorf("a new checkout finds the old one's data: %v", err)
	}
	if err := rds.Remove(checkout); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{first, second, filepath.Join(checkout, ".local", "postgres")} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s after Remove: %v", path, err)
		}
	}
}
