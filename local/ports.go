package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

const loopback = "127.0.0.1"

// ports hands out free ports, each once. Free is one that is so on all the
// addresses.
type ports struct {
	given     map[int]bool
	addresses []string
}

// take gives want or, where that is taken, the next free port after it.
func (p *ports) take(want int) (int, error) {
	for port := want; port <= 65535; port++ {
		if p.given[port] {
			continue
		}
		listeners, err := listen(p.addresses, port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		closeAll(listeners)
		p.given[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("no port of %s is free from %d on", p.addresses, want)
}

// hold is take, and keeps the port, on the given addresses. Where it must be
// want itself, a taken one is an error; 0 is any.
func (p *ports) hold(addresses []string, want int, must bool) ([]net.Listener, int, error) {
	for port := want; ; port++ {
		switch {
		case want == 0:
			port = 0
		case !must:
			var err error
			if port, err = p.take(port); err != nil {
				return nil, 0, err
			}
		}
		listeners, err := listen(addresses, port)
		if err == nil {
			got := portOf(listeners[0]) // another one than 0
			p.given[got] = true
			return listeners, got, nil
		}
		if must && want != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, 0, err
		}
	}
}

// listen listens on the same port of every address.
func listen(addresses []string, port int) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		l, err := net.Listen("tcp4", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			closeAll(listeners)
			if errors.Is(err, syscall.EADDRINUSE) {
				err = fmt.Errorf("port %d of %s is taken: %w", port, address, err)
			}
			return nil, err
		}
		listeners = append(listeners, l)
		port = portOf(l)
	}
	return listeners, nil
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}
