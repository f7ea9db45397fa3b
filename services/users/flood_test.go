package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// logInFrom logs in as a client address behind the load balancer.
func (s *tasks) logInFrom(client, name string) (status int, err error) {
	text, err := json.Marshal(credentials(name))
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequest("POST", s.all[0].url+"/v1/sessions", strings.NewReader(string(text)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", client)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// Ninety clients behind one address log in with their good password as fast as they
// can. Every login from another address succeeds.
func TestAFloodOfGoodLogins(t *testing.T) {
	s := startTasks(t, 1, map[string]string{"LOGINS_PER_ADDRESS": "1000000"})
	for i := range 15 {
		s.want(t, 201, s.all[0], "POST", "/v1/users", "", account(fmt.Sprint("user-", i)))
	}
	var flood, others sync.WaitGroup
	var stop atomic.Bool
	var limited atomic.Int32
	for range 90 {
		flood.Go(func() {
			for !stop.Load() {
				status, err := s.logInFrom("198.51.100.1", "user-14")
				switch {
				case err != nil || status != 201 && status != 429:
					t.Errorf("the flood got %d, %v", status, err)
					return
				case status == 429:
					limited.Add(1)
				}
			}
		})
	}
	eventually(t, "the flood is limited", func() bool { return limited.Load() > 100 })
	for i := range 14 {
		others.Go(func() {
			for range 3 {
				if status, err := s.logInFrom(fmt.Sprint("203.0.113.", i), fmt.Sprint("user-", i)); err != nil || status != 201 {
					t.Errorf("another's login: %d, %v", status, err)
				}
			}
		})
	}
	others.Wait()
	stop.Store(true)
	flood.Wait()
}
