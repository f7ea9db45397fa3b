package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// The first sleep of the script returns at once, and the command ends when the
// second one begins.
func TestPatientReportsWhileTheCommandRuns(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		"sleep":   "if mkdir first 2>/dev/null; then exit; fi\nmkdir second\nexec tail -f /dev/null",
		"command": "until [ -d second ]; do :; done\nexit 7",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script, err := filepath.Abs("patient.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "building", filepath.Join(dir, "command"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("the command ends with 7, the script with %v", err)
	}
	if got := string(out); got != "building\nbuilding: 5 s so far\n" {
		t.Errorf("it prints %q", got)
	}
}

func TestPatiently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		terminal := &output{}
		stop := (&screen{terminal: terminal}).patiently("building")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if got := terminal.String(); got != "" {
			t.Errorf("after 4 s: %q", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		stop()
		want := "building: 5 s so far\nbuilding: 15 s so far\nbuilding: 30 s so far\nbuilding: 60 s so far\nbuilding: 90 s so far\nbuilding: 120 s so far\n"
		time.Sleep(time.Hour)
		if got := terminal.String(); got != want {
			t.Errorf("after two minutes and the end: %q", got)
		}
	})
}
