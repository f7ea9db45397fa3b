package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"plaudit/local/part"
)

const runFileName = "run.json"

// runFile is .local/run.json: it exists while everything runs.
type runFile struct {
	path string

	mu      sync.Mutex
	written bool
	extra   map[string]json.RawMessage // from the hook `after`
	content part.Run
}

func newRunFile(folder string) *runFile {
	return &runFile{
		path:    filepath.Join(folder, runFileName),
		content: part.Run{Databases: map[string]part.RunDatabase{}, PIDs: map[string]int{"laptop": os.Getpid()}, Functions: map[string]string{}},
	}
}

// merge adds the JSON object that a hook printed; nil adds nothing.
func (f *runFile) merge(object map[string]json.RawMessage) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	own := map[string]json.RawMessage{}
	if err := convert(f.content, &own); err != nil {
		return err
	}
	for key := range object {
		if _, ok := own[key]; ok {
			return fmt.Errorf("the key %s of %s is reserved for the laptop cloud", key, runFileName)
		}
	}
	f.extra = object
	return nil
}

// change changes the content, and the file if publish has been called.
func (f *runFile) change(apply func(*part.Run)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	apply(&f.content)
	if !f.written {
		return nil
	}
	return f.write()
}

// url returns the address of the load balancer; "" if there is none.
func (f *runFile) url() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.content.URL
}

// publish writes the file for the first time.
func (f *runFile) publish() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written = true
	return f.write()
}

func (f *runFile) remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written = false
	if err := os.Remove(f.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// write replaces the file in one step, so that nobody reads half of it. Only its
// owner may read it, because it holds passwords.
func (f *runFile) write() error {
	all := maps.Clone(f.extra)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	if err := convert(f.content, &all); err != nil {
		return err
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return part.ReplaceFile(f.path, append(text, '\n'))
}

func convert(from any, to *map[string]json.RawMessage) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}
