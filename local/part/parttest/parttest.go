// Package parttest helps to test parts: it reads templates into them.
package parttest

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"plaudit/local/part"
	"plaudit/local/template"
)

// Laptop returns what a part may use in a test of what it reads. The stack is
// called small; ports count up from the wanted one, and nothing is shown. Tests of
// what a part starts set the rest.
func Laptop() part.Laptop {
	given := 0
	return part.Laptop{
		Names: part.Names{Pseudo: template.Pseudo{StackName: "small", Region: "ap-northeast-2", AccountID: "000000000000"}},
		Log:   slog.New(slog.DiscardHandler),
		Port: func(want int) (int, error) {
			given++
			return want + given - 1, nil
		},
		Started:   func(string, string, time.Duration) {},
		Say:       func(string) {},
		JSONLog:   func(string) io.Writer { return io.Discard },
		FileLog:   func(string) io.Writer { return io.Discard },
		ChangeRun: func(func(*part.Run)) error { return nil },
	}
}

// Read reads the resources of a template, as YAML below Resources, into parts.
func Read(t testing.TB, parts part.List, resources string) (*template.Stack, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "template.yaml")
	text := "AWSTemplateFormatVersion: \"2010-09-09\"\nTransform: AWS::Serverless-2016-10-31\nResources:\n" + resources
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := template.Load(file, Laptop().Pseudo, nil)
	if err != nil {
		t.Fatal(err)
	}
	return parts.Read(loaded)
}
