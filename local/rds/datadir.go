package rds

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Root returns the folder for the clusters of the checkout at path, a Config's
// Dir: .local/postgres in it. For root, whose checkout the server's user may
// not be able to enter, that is a link to /var/tmp/plaudit/<hash of the
// path>-<random>, so that a new checkout at the same place does not get the data
// of the old one.
func Root(path string) (string, error) {
	link, hash, err := place(path)
	if err != nil || os.Geteuid() != 0 {
		return link, err
	}
	prefix, err := shared(hash + "-")
	if err != nil {
		return "", err
	}
	target, err := os.Readlink(link)
	if err == nil && strings.HasPrefix(target, prefix) && !strings.ContainsRune(target[len(prefix):], '/') {
		return target, nil
	}
	if err == nil {
		err = os.Remove(link) // of a checkout that was copied
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s was made by another user than root; delete it with `make clean`: %w", link, err)
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return "", err
	}
	target, err = os.MkdirTemp(filepath.Dir(prefix), hash+"-")
	if err == nil {
		err = os.Chmod(target, 0o755)
	}
	if err == nil {
		err = os.Symlink(target, link)
	}
	return target, err
}

// Remove deletes every cluster that was made in the checkout at path. None may
// be running.
func Remove(path string) error {
	link, hash, err := place(path)
	if err != nil {
		return err
	}
	folders := []string{link}
	if os.Geteuid() == 0 {
		prefix, err := shared(hash + "-")
		if err != nil {
			return err
		}
		found, err := filepath.Glob(prefix + "*")
		if err != nil {
			return err
		}
		folders = append(folders, found...)
	}
	for _, folder := range folders {
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	return nil
}

func place(path string) (link, hash string, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(abs, ".local", "postgres"), hex.EncodeToString(sum[:6]), nil
}

// shared returns a folder under /var/tmp/plaudit. Everybody may write to /var/tmp,
// so an existing /var/tmp/plaudit must belong to root.
func shared(name string) (string, error) {
	const base = "/var/tmp/plaudit"
	if err := os.Mkdir(base, 0o755); err != nil && !os.IsExist(err) {
		return "", err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || stat.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("%s must be a folder that only root may write to; remove it", base)
	}
	// The umask may have been another one when it was made.
	if err := os.Chmod(base, 0o755); err != nil {
		return "", err
	}
	return filepath.Join(base, name), nil
}

// serverUser returns the user to run the server as: nil for the caller, or nobody
// if the caller is root, as which PostgreSQL refuses to run.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and this machine has no user nobody to run it as: %w", err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user nobody: %w", err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user nobody: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}, nil
}

// makeDir makes a folder that only the server's user can read.
func makeDir(dir string, as *syscall.Credential) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if as == nil {
		return nil
	}
	return os.Chown(dir, int(as.Uid), int(as.Gid))
}

// reachable reports whether the server's user can enter dir.
func reachable(dir string, as *syscall.Credential) error {
	if as == nil {
		return nil
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if ok && stat.Uid != as.Uid && info.Mode()&fs.FileMode(0o001) == 0 {
			return fmt.Errorf("PostgreSQL does not run as root, and the user nobody cannot enter %s; use a folder under /var/tmp, open to everybody", at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
