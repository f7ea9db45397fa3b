package main

import (
	"testing"
	"time"
)

// BenchmarkMail is the time from a message to its mail in the stand-in of SES.
func BenchmarkMail(b *testing.B) {
	k := start(b)
	k.now = time.Now()
	for b.Loop() {
		if err := k.service.Handle(b.Context(), k.message(k.body("told", k.adjusted(nil)))); err != nil {
			b.Fatal(err)
		}
	}
}
