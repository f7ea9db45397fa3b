package ministack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// spareSpace is how much of a disk must be free beside two times the state.
const spareSpace = 64 << 20

func (c Config) stateFolder() string { return filepath.Join(c.Data, "state") }

// goodFolder holds a second name of each state file that was last found whole. MiniStack
// replaces its files, so the second names keep what they had.
func (c Config) goodFolder() string { return filepath.Join(c.Data, "state.good") }

func (c Config) stateFiles() ([]string, error) {
	return filepath.Glob(filepath.Join(c.stateFolder(), "*.json"))
}

// checkState makes sure that MiniStack can read its state: it would go on without a file
// that it cannot read, and replace it. In the place of such a file it puts the last one
// that was whole.
func (c Config) checkState() error {
	files, err := c.stateFiles()
	if err != nil {
		return err
	}
	for _, file := range files {
		damage := whole(file)
		if damage == nil {
			continue
		}
		good := filepath.Join(c.goodFolder(), filepath.Base(file))
		info, err := os.Stat(good)
		if err == nil {
			err = whole(good)
		}
		if err != nil {
			return fmt.Errorf("%w\nThe engine would begin without what the file holds, and there is no good copy. To begin without it, move the file away and start again: what the template describes is made again, and docs/operating.md says how to bring the audit log back", damage)
		}
		if err := errors.Join(os.Rename(file, file+".damaged"), os.Link(good, file)); err != nil {
			return err
		}
		c.Say(fmt.Sprintf("%v; the engine continues with the copy of %s, without what came later. The damaged file is now %s", damage, info.ModTime().Format(time.DateTime), filepath.Base(file)+".damaged"))
	}
	return c.keepGood(files)
}

// whole returns an error if a state file cannot be read or was not written to its end.
func whole(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("the engine's state cannot be read: %w", err)
	}
	if len(text) == 0 || text[0] != '{' || !json.Valid(text) {
		return fmt.Errorf("the engine's state in %s is damaged: %d bytes, which are not a whole JSON object", file, len(text))
	}
	return nil
}

// keepGood makes the files, which are whole, the copies that replace damaged ones.
func (c Config) keepGood(files []string) error {
	next := c.goodFolder() + ".next"
	if err := errors.Join(os.RemoveAll(next), os.Mkdir(next, 0o700)); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Link(file, filepath.Join(next, filepath.Base(file))); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(c.goodFolder()), os.Rename(next, c.goodFolder()))
}

// checkSaved returns an error if what an engine has saved, which has ended, is not whole.
func (c Config) checkSaved() error {
	held, err := lock(context.Background(), filepath.Join(c.Data, "lock"), 0, nil)
	if errors.Is(err, errLocked) || errors.Is(err, os.ErrNotExist) {
		return nil // the next engine has it, and has checked it; or it was removed
	}
	if err != nil {
		return err
	}
	defer held.Close()
	files, err := c.stateFiles()
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := whole(file); err != nil {
			return err
		}
	}
	return c.keepGood(files)
}

// objectsLost is the exit status of launch.py if it has saved all but objects of S3.
const objectsLost = 75

// notSaved is the error of an engine that has ended without saving its state.
func (c Config) notSaved(cause error) error {
	if ended := (*exec.ExitError)(nil); errors.As(cause, &ended) && ended.ExitCode() == objectsLost {
		return fmt.Errorf("THE ENGINE HAS NOT SAVED SOME OBJECTS OF S3, which it had taken; all else is saved. .local/laptop.log has the details. If the disk that holds %s is full, free some space", c.Data)
	}
	return fmt.Errorf("THE ENGINE HAS NOT SAVED ITS STATE (%w): what DynamoDB, S3 and SQS have got since it started is lost; .local/laptop.log has the details. If the disk that holds %s is full, free some space. The next start makes what the template describes again, and docs/operating.md says how to bring the audit log back", cause, c.Data)
}

// warnOfSpace tells the user if the disk may be too full for the state.
func (c Config) warnOfSpace() {
	if c.Forget {
		return
	}
	var disk syscall.Statfs_t
	files, err := c.stateFiles()
	if err != nil || syscall.Statfs(c.Data, &disk) != nil {
		return // it only warns
	}
	var size uint64
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			size += uint64(info.Size())
		}
	}
	if text := spaceWarning(c.Data, disk.Bavail*uint64(disk.Bsize), size); text != "" {
		c.Say(text)
	}
}

// spaceWarning returns a warning if so many free bytes may not do for a state of so many
// bytes: it is written beside the one of the last time, and may have grown.
func spaceWarning(folder string, free, size uint64) string {
	need := 2*size + spareSpace
	if free >= need {
		return ""
	}
	return fmt.Sprintf("the disk that holds %s has %d MB left, and the engine may need %d MB to save its tables when it stops: free some space, or what they get is lost", folder, free>>20, need>>20)
}
