// Command service is a task for tests: it answers with its environment, and
// crashes or becomes unhealthy on request.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	addr := net.JoinHostPort("127.0.0.1", os.Getenv("PORT"))
	if len(os.Args) > 1 && os.Args[1] == "health" {
		for {
			res, err := http.Get("http://" + addr + "/healthz")
			if errors.Is(err, syscall.ECONNREFUSED) {
				time.Sleep(5 * time.Millisecond) // it does not listen yet
				continue
			}
			if err != nil || res.StatusCode != http.StatusOK {
				os.Exit(1)
			}
			return
		}
	}
	healthy := true
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if !healthy {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, strings.Join(os.Environ(), "\n"))
	})
	http.HandleFunc("/sicken", func(w http.ResponseWriter, r *http.Request) { healthy = false })
	http.HandleFunc("/crash", func(w http.ResponseWriter, r *http.Request) { os.Exit(3) })
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		fmt.Println("goodbye")
		os.Exit(0)
	}()
	fmt.Println("hello")
	if err := http.ListenAndServe(addr, nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
