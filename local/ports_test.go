package main

import (
	"os"
	"testing"
)

// A port is taken before anything listens on it: a database that is made
// first takes seconds.
func TestTwoLaptopsAreGivenDifferentPorts(t *testing.T) {
	given := map[int]bool{}
	for range 2 {
		laptop := &ports{given: map[int]*os.File{}, addresses: []string{loopback}}
		for range 2 {
			port, err := laptop.take(5433)
			if err != nil {
				t.Fatal(err)
			}
			defer laptop.given[port].Close()
			if given[port] {
				t.Errorf("port %d is given twice", port)
			}
			given[port] = true
		}
	}
}
