package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// containerHost is the name by which containers reach this machine. Docker
// Desktop resolves it; with another engine, `--add-host` must define it.
const containerHost = "host.docker.internal"

// bridgeInterface is the network interface of Docker's default bridge.
var bridgeInterface = "docker0"

// findBridge returns this machine's address on the container engine's default
// bridge, with the bridge's subnet. It returns the zero prefix for an engine in
// a virtual machine of its own, which reaches 127.0.0.1 of this machine.
func findBridge(ctx context.Context) (netip.Prefix, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	config, err := docker(ctx, "network", "inspect", "bridge", "--format", `{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}}{{"\n"}}{{end}}`)
	if err != nil {
		// An engine that starts later finds its bridge as it left it.
		if bridge, ok := interfaceAddress(bridgeInterface); ok {
			return bridge, nil
		}
		return netip.Prefix{}, fmt.Errorf("no container engine answers (%w), and this machine has no interface docker0; start the engine, or run without -hosts docker (make run HOSTS=docker)", err)
	}
	bridge, err := readBridge(config)
	if err != nil {
		// Docker 20.10 does not report the gateway of a bridge that it has made
		// since it started.
		if own, ok := interfaceAddress(bridgeInterface); ok && strings.Contains(config, own.Masked().String()) {
			return own, nil
		}
		return netip.Prefix{}, err
	}
	err = isHere(bridge.Addr())
	if err == nil {
		return bridge, nil
	}
	if !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return netip.Prefix{}, fmt.Errorf("the container engine's bridge: %w", err)
	}
	if system, _ := docker(ctx, "info", "--format", "{{.OperatingSystem}}"); runtime.GOOS != "linux" || strings.TrimSpace(system) == "Docker Desktop" {
		return netip.Prefix{}, nil
	}
	return netip.Prefix{}, fmt.Errorf("the container engine's bridge has the address %s, which is not an address of this machine; containers of a rootless or remote engine do not reach its databases, so use the system's own engine", bridge.Addr())
}

func docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		last := strings.Split(strings.TrimSpace(string(failed.Stderr)), "\n")
		err = errors.New(last[len(last)-1])
	}
	return string(out), err
}

// readBridge reads lines of a gateway and its subnet, and returns the first IPv4
// one.
func readBridge(config string) (netip.Prefix, error) {
	for line := range strings.Lines(config) {
		gateway, subnet, _ := strings.Cut(strings.TrimSpace(line), " ")
		address, err := netip.ParseAddr(gateway)
		if err != nil || !address.Is4() {
			continue
		}
		network, err := netip.ParsePrefix(subnet)
		if err != nil || !network.Contains(address) {
			continue
		}
		return netip.PrefixFrom(address, network.Bits()), nil
	}
	return netip.Prefix{}, errors.New("the container engine's network bridge has no IPv4 gateway")
}

func interfaceAddress(name string) (netip.Prefix, bool) {
	found, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Prefix{}, false
	}
	addresses, err := found.Addrs()
	if err != nil {
		return netip.Prefix{}, false
	}
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Is4() {
			return prefix, true
		}
	}
	return netip.Prefix{}, false
}

// isHere returns an error if an address is not this machine's.
func isHere(address netip.Addr) error {
	l, err := net.Listen("tcp4", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return err
	}
	return l.Close()
}

// fromBridge accepts connections from the bridge's subnet only, as the databases
// do. Its address alone protects nothing: other machines can route packets to it.
type fromBridge struct {
	net.Listener
	subnet netip.Prefix
}

func (l fromBridge) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if from, ok := conn.RemoteAddr().(*net.TCPAddr); ok && l.subnet.Contains(from.AddrPort().Addr().Unmap()) {
			return conn, nil
		}
		conn.Close()
	}
}
