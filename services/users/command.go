package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"plaudit/shared/boot"
)

// command runs what the arguments name and returns the exit status.
func command(args []string, stderr io.Writer) int {
	switch {
	case len(args) == 0:
		boot.Main("users", run) // ends the process
	case len(args) == 1 && args[0] == "health":
		if err := askHealth(os.Getenv("PORT")); err != nil {
			fmt.Fprintln(stderr, "users health:", err)
			return 1
		}
		return 0
	}
	fmt.Fprintln(stderr, `usage: users          serve on HOST:PORT
       users health   check the service on PORT; exit status 0 if it is healthy`)
	return 2
}

// askHealth is the container's health check.
func askHealth(port string) error {
	// Never through a proxy, and done before ECS gives up (Timeout in
	// template.yaml).
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{}}
	response, err := client.Get("http://127.0.0.1:" + port + "/healthz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz answered %s", response.Status)
	}
	return nil
}
