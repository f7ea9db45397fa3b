package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// BenchmarkSignInTells measures how much the time of a failed login reveals
// about whether the address has an account. It sends pairs of both kinds, in
// random order, over HTTP without a load balancer, which is closer than any
// attacker gets. The figures:
//
//	with-ms, without-ms   the medians
//	auc                   of one time of each kind, how often in percent that with an account is longer:
//	                      50 reveals nothing, 100 everything
//
// Three runs of 300 pairs on two busy cores gave an auc of 49.5, 49.5 and 51.5, with medians of 34 to 39 ms that
// differed by less than 1 ms either way.
//
// It is a benchmark, because a test of times fails on a busy machine or proves
// nothing. TestLoginTakesTheSameWithAndWithoutAnAccount in shared/user checks
// that both kinds compute the same hashes.
//
//	go test -run '^$' -bench SignInTells -benchtime 1000x ./services/users
func BenchmarkSignInTells(b *testing.B) {
	s := startTasks(b, 1, map[string]string{"LOGINS_PER_ADDRESS": "1000000", "SIGN_UPS_PER_HOUR": "1000000"})
	var with, without []time.Duration
	fail := func(times *[]time.Duration, name string) {
		begin := time.Now()
		s.want(b, 401, s.all[0], "POST", "/v1/sessions", "", map[string]any{"email": name + "@example.com", "password": "wrong horse"})
		*times = append(*times, time.Since(begin))
	}
	for i := 0; b.Loop(); i++ {
		// An account takes 10 failures; the fifth writes an event besides.
		known, unknown := fmt.Sprint("known-", i/10), fmt.Sprint("nobody-", i/10)
		if i%10 == 0 {
			b.StopTimer()
			s.want(b, 201, s.all[0], "POST", "/v1/users", "", account(known))
			b.StartTimer()
		}
		if rand.IntN(2) == 0 {
			fail(&with, known)
			fail(&without, unknown)
		} else {
			fail(&without, unknown)
			fail(&with, known)
		}
	}
	reportTelling(b, with, without)
}

// BenchmarkVerificationTells measures the same of a request for a link that
// verifies an address, which answers 202 for every address. The account is one that
// gets a link, so its request writes an event besides.
//
// Three runs of 1000 pairs on two busy cores had an auc of 52.5, 57.6 and 53.4, with
// medians of 1.8 to 2.5 ms that differed by 0.1 ms, which are the two rows of the event.
// An attacker has five requests an hour for an address, and sign-up answers the same
// question at once, by 409.
//
// TestAddressesCauseTheSameStatements in shared/postgres/users checks that both
// kinds send the same statements.
//
//	go test -run '^$' -bench VerificationTells -benchtime 1000x ./services/users
func BenchmarkVerificationTells(b *testing.B) { benchmarkRequestTells(b, "/v1/email-verifications") }

// BenchmarkResetTells measures the same of a request for a link that resets a password.
// The request of an account writes the request's row and an event besides.
//
// Three runs of 1000 pairs on two very busy cores had an auc of 57.6, 53.4 and 54.7, with
// medians of 2.5 to 7.3 ms that differed by 0.3 to 0.7 ms.
//
// TestResetsCauseTheSameStatements in shared/postgres/users checks that both kinds send
// the same statements.
//
//	go test -run '^$' -bench ResetTells -benchtime 1000x ./services/users
func BenchmarkResetTells(b *testing.B) { benchmarkRequestTells(b, "/v1/password-resets") }

// benchmarkRequestTells measures requests for a link, of which an address has five in an
// hour.
func benchmarkRequestTells(b *testing.B, path string) {
	s := startTasks(b, 1, map[string]string{"LOGINS_PER_ADDRESS": "1000000", "SIGN_UPS_PER_HOUR": "1000000"})
	var with, without []time.Duration
	ask := func(times *[]time.Duration, name string) {
		begin := time.Now()
		s.want(b, 202, s.all[0], "POST", path, "", map[string]any{"email": name + "@example.com"})
		*times = append(*times, time.Since(begin))
	}
	for i := 0; b.Loop(); i++ {
		known, unknown := fmt.Sprint("known-", i/5), fmt.Sprint("nobody-", i/5)
		if i%5 == 0 {
			b.StopTimer()
			s.want(b, 201, s.all[0], "POST", "/v1/users", "", account(known))
			b.StartTimer()
		}
		if rand.IntN(2) == 0 {
			ask(&with, known)
			ask(&without, unknown)
		} else {
			ask(&without, unknown)
			ask(&with, known)
		}
	}
	reportTelling(b, with, without)
}

// reportTelling reports the figures of BenchmarkSignInTells.
func reportTelling(b *testing.B, with, without []time.Duration) {
	slices.Sort(with)
	slices.Sort(without)
	longer := 0.0 // pairs in which the one with an account is longer
	for _, d := range with {
		at, _ := slices.BinarySearch(without, d)
		longer += float64(at)
	}
	ms := func(times []time.Duration) float64 { return float64(times[len(times)/2].Microseconds()) / 1000 }
	b.ReportMetric(ms(with), "with-ms")
	b.ReportMetric(ms(without), "without-ms")
	b.ReportMetric(100*longer/float64(len(with)*len(without)), "auc")
}
