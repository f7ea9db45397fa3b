// Package timezone loads time zones from data in the program and from nowhere
// else, so that a day begins at the same instant on every machine.
// time.LoadLocation prefers the machine's own files, which differ in age and in
// names, and uses time/tzdata only if there are none.
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
// https://www.iana.org/time-zones), release 2025c, as compiled for the Go
// distribution. `go generate ./shared/timezone` copies the release of the
// installed Go.
//
//go:generate cp $GOROOT/lib/time/zoneinfo.zip .
//go:embed zoneinfo.zip
var data string

// Load returns the zone with the IANA name. It refuses the empty name and
// Local, which differ between machines, and Factory, which stands for a machine
// without a configured zone.
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

// loaded caches the zones.
var loaded sync.Map // name: *time.Location

// files opens the archive when the first zone other than UTC is loaded; most
// processes need none.
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
