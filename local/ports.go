package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// ports hands out free ports of 127.0.0.1, each once.
type ports struct{ given map[int]bool }

// take gives want or, where that is taken, the next free port after it.
func (p *ports) take(want int) (int, error) {
	for port := want; port <= 65535; port++ {
		if p.given[port] {
			continue
		}
		l, err := listen(port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		l.Close()
		p.given[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("no port of 127.0.0.1 is free from %d on", want)
}

// hold is take, and keeps the port. Where it must be want itself, a taken one
// is an error.
func (p *ports) hold(want int, must bool) (net.Listener, int, error) {
	for port := want; ; port++ {
		if !must {
			var err error
			if port, err = p.take(port); err != nil {
				return nil, 0, err
			}
		}
		l, err := listen(port)
		if err == nil {
			got := l.Addr().(*net.TCPAddr).Port // another one than 0
			p.given[got] = true
			return l, got, nil
		}
		if must || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, 0, err
		}
	}
}

func listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d of 127.0.0.1 is taken: %w", port, err)
	}
	return l, err
}
