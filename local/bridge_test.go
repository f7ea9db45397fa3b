package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dockerEngine puts a docker client into PATH that answers like an engine with the
// bridge; if bridge is empty, like a client whose engine does not run.
func dockerEngine(t *testing.T, bridge, system string) {
	t.Helper()
	script := "#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n"
	if bridge != "" {
		script = fmt.Sprintf("#!/bin/sh\ncase $1 in network) printf '%%s\\n' %s ;; info) echo '%s' ;; esac\n", bridge, system)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestFindBridge(t *testing.T) {
	for _, c := range []struct {
		name, bridge, system string
		want                 netip.Prefix
		err                  string
	}{
		{"an address of this machine", "'127.0.0.1 127.0.0.0/8'", "Debian", netip.MustParsePrefix("127.0.0.1/8"), ""},
		{"the first of IPv4", "'fd00::1 fd00::/64' '127.0.0.1 127.0.0.0/30'", "Debian", netip.MustParsePrefix("127.0.0.1/30"), ""},
		// TEST-NET-1 of RFC 5737, which no machine has.
		{"an engine in a machine of its own", "'192.0.2.201 192.0.2.200/30'", "Docker Desktop", netip.Prefix{}, ""},
		{"an engine elsewhere", "'192.0.2.201 192.0.2.200/30'", "Debian", netip.Prefix{}, "192.0.2.201"},
		{"a bridge without IPv4", "'fd00::1 fd00::/64'", "Debian", netip.Prefix{}, "no IPv4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dockerEngine(t, c.bridge, c.system)
			got, err := findBridge(t.Context())
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// As Docker 20.10 answers after it has made its bridge.
func TestFindBridgeWithoutAGateway(t *testing.T) {
	defer func(before string) { bridgeInterface = before }(bridgeInterface)
	bridgeInterface = "lo"
	dockerEngine(t, "' 127.0.0.0/8'", "Debian")
	if got, err := findBridge(t.Context()); err != nil || got != netip.MustParsePrefix("127.0.0.1/8") {
		t.Errorf("got %v, %v", got, err)
	}
	dockerEngine(t, "' 192.0.2.200/30'", "Debian")
	if got, err := findBridge(t.Context()); err == nil || !strings.Contains(err.Error(), "no IPv4 gateway") {
		t.Errorf("a bridge that the interface is not on: got %v, %v", got, err)
	}
}

func TestFindBridgeWithoutEngine(t *testing.T) {
	dockerEngine(t, "", "")
	got, err := findBridge(t.Context())
	want, ok := interfaceAddress("docker0")
	switch {
	case ok && (err != nil || got != want):
		t.Errorf("got %v, %v; docker0 has %v", got, err, want)
	case !ok && (err == nil || !strings.Contains(err.Error(), "Cannot connect to the Docker daemon") || !strings.Contains(err.Error(), "start the engine")):
		t.Errorf("the error lacks the cause or the way out: %v", err)
	}
}
