package part

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestForeign(t *testing.T) {
	for _, c := range []struct {
		name, host string
		header     http.Header
		foreign    bool
	}{
		{"a program", "127.0.0.1:4566", nil, false},
		{"localhost", "localhost:4566", nil, false},
		{"localhost in capitals", "LOCALHOST:4566", nil, false},
		{"the root's localhost", "localhost.:4566", nil, false},
		{"a bucket", "bucket.localhost:4566", nil, false},
		{"another loopback address", "127.1.2.3:4566", nil, false},
		{"IPv6", "[::1]:4566", nil, false},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:4566", nil, false},
		{"a container", "host.docker.internal:4566", nil, false},
		{"a container by the address", "172.17.0.1:4566", nil, false},
		{"a person's browser", "127.0.0.1:4566", http.Header{"Sec-Fetch-Site": {"none"}}, false},
		{"the same origin", "127.0.0.1:4566", http.Header{"Sec-Fetch-Site": {"same-origin"}}, false},

		{"a page", "127.0.0.1:4566", http.Header{"Origin": {"http://evil.example"}}, true},
		{"a page of this machine", "127.0.0.1:4566", http.Header{"Origin": {"http://127.0.0.1:3000"}}, true},
		{"a page in a sandbox", "127.0.0.1:4566", http.Header{"Origin": {"null"}}, true},
		{"an empty origin", "127.0.0.1:4566", http.Header{"Origin": {""}}, true},
		{"an image", "127.0.0.1:4566", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		{"an image of the same site", "127.0.0.1:4566", http.Header{"Sec-Fetch-Site": {"same-site"}}, true},
		{"a rebound name", "evil.example:4566", nil, true},
		{"a rebound name of the same origin", "evil.example:4566", http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		{"a name that only begins well", "localhost.evil.example:4566", nil, true},
		{"a name that only ends well", "evillocalhost:4566", nil, true},
		{"a name that begins like an address", "127.0.0.1.evil.example:4566", nil, true},
		{"another port", "127.0.0.1:8080", nil, true},
		{"no port", "127.0.0.1", nil, true},
		{"an unknown address", "192.0.2.1:4566", nil, true},
		{"all addresses", "0.0.0.0:4566", nil, true},
		{"no host", "", nil, true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = c.host
		for name, values := range c.header {
			r.Header[name] = values
		}
		if got := Foreign(r, "4566", "host.docker.internal", "172.17.0.1"); (got != "") != c.foreign {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "localhost"
	if got := Foreign(r, "80"); got != "" {
		t.Errorf("port 80 without a port: %q", got)
	}
	r.Host = "host.docker.internal:4566"
	if got := Foreign(r, "4566"); got == "" {
		t.Error("containers are admitted without being asked for")
	}
}
