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

// containerHost is the name by which containers reach this machine: Docker
// Desktop knows it by itself, elsewhere `--add-host` gives it to them.
const containerHost = "host.docker.internal"

// findBridge gives the address of this machine on the container engine's
// default bridge, and the bridge's subnet. Where the engine has a virtual
// machine of its own, which reaches this one's 127.0.0.1, there is none: the
// zero prefix.
func findBridge(ctx context.Context) (netip.Prefix, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	config, err := docker(ctx, "network", "inspect", "bridge", "--format", `{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}}{{"\n"}}{{end}}`)
	if err != nil {
		// An engine that starts later finds its bridge as it left it.
		if bridge, ok := interfaceAddress("docker0"); ok {
			return bridge, nil
		}
		return netip.Prefix{}, fmt.Errorf("no container engine answers (%w), and there is no interface docker0; start the engine, or leave -hosts docker (make run HOSTS=docker) away", err)
	}
	bridge, err := readBridge(config)
	if err != nil {
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
	return netip.Prefix{}, fmt.Errorf("the container engine's bridge has the address %s, which is not of this machine; a rootless or remote engine does not reach its databases, so use the system's own", bridge.Addr())
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

// readBridge reads lines of a gateway and its subnet, and gives the first of
// IPv4.
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

// isHere says whether an address is this machine's.
func isHere(address netip.Addr) error {
	l, err := net.Listen("tcp4", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return err
	}
	return l.Close()
}

// fromBridge accepts connections from the bridge's subnet alone, as the
// databases do: the address itself is reached by whoever routes packets for it
// to this machine.
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
