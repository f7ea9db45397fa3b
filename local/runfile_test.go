package main

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"plaudit/local/part"
)

// Parts change run.json while the hook's object is added. The race detector fails the
// test if one of the two does not wait.
func TestRunFileIsChangedWhileAHookAddsToIt(t *testing.T) {
	f := newRunFile(t.TempDir())
	var work sync.WaitGroup
	work.Go(func() {
		for n := range 100 {
			if err := f.change(func(r *part.Run) { r.PIDs[fmt.Sprint("part-", n)] = n }); err != nil {
				t.Error(err)
			}
		}
	})
	work.Go(func() {
		for range 100 {
			if err := f.merge(map[string]json.RawMessage{"token": []byte(`"x"`)}); err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	if err := f.merge(map[string]json.RawMessage{"pids": []byte("{}")}); err == nil {
		t.Error("a key of the laptop cloud's own was taken")
	}
}
