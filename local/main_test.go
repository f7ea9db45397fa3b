package main

import (
	"bytes"
	"errors"
	"flag"
	"os/exec"
	"strings"
	"testing"
)

// The help would push the error off the screen.
func TestWrongArgumentsEndWithTheError(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-nothing"}, "flag provided but not defined: -nothing"},
		{[]string{"-idle", "soon"}, `invalid value "soon" for flag -idle`},
		{[]string{"-idle", "0s"}, "-idle must be more than 0"},
		{[]string{"-http-port", "65536"}, "a port must be between 0 and 65535"},
		{[]string{"-inbox-port", "-1"}, "a port must be between 0 and 65535"},
		{[]string{"-hosts", "podman"}, `-hosts must be docker, not "podman"`},
		{[]string{"-aws-endpoint", "127.0.0.1:8000"}, "-aws-endpoint must be a URL such as http://127.0.0.1:8000"},
		{[]string{"start"}, `unexpected argument "start"`},
		{[]string{"invoke", "hello", "-", "x"}, "invoke needs at most a FUNCTION and an EVENT"},
		{[]string{"invoke", "", "-"}, "invoke needs a FUNCTION for the EVENT"},
	} {
		cmd := exec.Command(laptopBinary, c.args...)
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%q: %v", c.args, err)
		}
		if said := string(out); !strings.HasPrefix(said, "error: "+c.want) || strings.Count(said, "\n") != 1 || !strings.Contains(said, "--help") {
			t.Errorf("%q prints %q", c.args, said)
		}
	}
}

func TestHelpListsTheFlags(t *testing.T) {
	var out bytes.Buffer
	if _, err := parse([]string{"--help"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: %v", err)
	}
	for _, want := range []string{"local invoke [FUNCTION [EVENT]]", "-http-port", "-inbox-port", "-log-level"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %s: %s", want, out.String())
		}
	}
	help, err := exec.Command(laptopBinary, "invoke", "--help").Output()
	if err != nil || !strings.Contains(string(help), "Usage: local invoke [FUNCTION [EVENT]]") {
		t.Errorf("invoke --help: %v: %s", err, help)
	}
}
