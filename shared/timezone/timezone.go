// Package timezone loads time zones from data in the program and from nowhere
// else, so that a day begins at the same instant on every machine.
// time.LoadLocation prefers the machine's own files, which differ in age and in
// the names that they have, and gives time/tzdata only where there are none.
package timezone

import (
	"archive/zip"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// data is the IANA time zone database (public domain,
// https://www.iana.org/time-zones), release 2025c, as the Go project compiles
// it for its own distribution. `go generate ./shared/timezone` takes the
// release of the Go at hand.
//
//go:generate cp $GOROOT/lib/time/zoneinfo.zip .
//go:embed zoneinfo.zip
var data string

// Load gives the zone of an IANA name. The empty name and Local, which mean
// something else on every machine, and Factory, which is the database's word
// for a machine that nobody has set up, are none.
func Load(name string) (*time.Location, error) {
	if name == "UTC" {
		return time.UTC, nil
	}
	if zone, ok := loaded.Load(name); ok {
		return zone.(*time.Location), nil
	}
	all, err := files()
	if err != nil {
		return nil, err
	}
	file, ok := all[name]
	if !ok {
		return nil, fmt.Errorf("no time zone %q", name)
	}
	text, err := content(file)
	if err != nil {
		return nil, fmt.Errorf("time zone %s: %w", name, err)
	}
	zone, err := time.LoadLocationFromTZData(name, text)
	if err != nil {
		return nil, fmt.Errorf("time zone %s: %w", name, err)
	}
	loaded.Store(name, zone)
	return zone, nil
}

// loaded keeps what Load has read.
var loaded sync.Map // of name: *time.Location

// files waits for the first zone other than UTC: most starts need none.
var files = sync.OnceValues(func() (map[string]*zip.File, error) {
	archive, err := zip.NewReader(strings.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("time zones: %w", err)
	}
	all := make(map[string]*zip.File, len(archive.File))
	for _, f := range archive.File {
		if f.Mode().IsRegular() && f.Name != "Factory" {
			all[f.Name] = f
		}
	}
	return all, nil
})

func content(file *zip.File) ([]byte, error) {
	r, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
