package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const loopback = "127.0.0.1"

// ports hands out free ports, each once. A port is free if it is so on all the
// addresses and no other laptop cloud of this user holds it.
type ports struct {
	// given holds the lock of each port that was handed out, because its user
	// listens later: a database that must be made first, after some seconds. It is
	// nil for a port of hold, which listens at once.
	given     map[int]*os.File
	addresses []string
}

// take returns want, or the next free port after it.
func (p *ports) take(want int) (int, error) {
	for port := want; port <= 65535; port++ {
		if _, ok := p.given[port]; ok {
			continue
		}
		held, err := lockPort(port)
		if errors.Is(err, errLocked) {
			continue
		}
		if err != nil {
			return 0, err
		}
		listeners, err := listen(p.addresses, port)
		if err == nil {
			closeAll(listeners)
			p.given[port] = held
			return port, nil
		}
		held.Close()
		if !errors.Is(err, syscall.EADDRINUSE) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("all ports of %s from %d on are taken", p.addresses, want)
}

// lockPort reserves a port among laptop clouds until this program ends, however
// it ends.
func lockPort(port int) (*os.File, error) {
	folder, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	return lockFile(filepath.Join(folder, "plaudit", "ports", strconv.Itoa(port)))
}

// hold listens on want, or on the next free port after it, of the given
// addresses. If must is true, it returns an error if want is taken; 0 is any
// free port.
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
			got := portOf(listeners[0]) // not 0
			if _, ok := p.given[got]; !ok {
				p.given[got] = nil
			}
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
