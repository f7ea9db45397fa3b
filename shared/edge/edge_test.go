package edge

import (
	"net/http"
	"strings"
	"testing"
)

func TestClientAddrIsWhatTheLoadBalancerSaw(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string // empty: no address
	}{
		{"no header", nil, ""},
		{"an address", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"with a port", []string{"203.0.113.7:443"}, "203.0.113.7:443"},
		{"IPv6", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"IPv6 with a port", []string{"[2001:db8::1]:443"}, "[2001:db8::1]:443"},
		{"IPv4 in IPv6", []string{"::ffff:203.0.113.7"}, "[::ffff:203.0.113.7]:0"},
		{"the client's own word comes first", []string{"10.0.0.1, 203.0.113.7"}, "203.0.113.7:0"},
		{"the client's own word is no address", []string{"<script>, 203.0.113.7"}, "203.0.113.7:0"},
		{"several lines", []string{"10.0.0.1", "10.0.0.2, 203.0.113.7"}, "203.0.113.7:0"},
		{"without spaces", []string{"10.0.0.1,203.0.113.7"}, "203.0.113.7:0"},
		{"with more spaces", []string{"10.0.0.1 ,\t 203.0.113.7 "}, "203.0.113.7:0"},
		{"an empty line", []string{""}, ""},
		{"an empty line at the end", []string{"203.0.113.7", ""}, ""},
		{"a comma at the end", []string{"203.0.113.7,"}, ""},
		{"a name", []string{"203.0.113.7, me"}, ""},
		{"IPv6 in brackets without a port", []string{"[2001:db8::1]"}, ""},
		{"a port that is not a number", []string{"203.0.113.7:http"}, ""},
		{"a port out of range", []string{"203.0.113.7:65536"}, ""},
		{"four numbers out of range", []string{"203.0.113.256"}, ""},
		{"a network", []string{"203.0.113.0/24"}, ""},
	} {
		h := http.Header{}
		for _, line := range c.lines {
			h.Add("x-forwarded-for", line)
		}
		if got, ok := ClientAddr(h); got != c.want || ok != (c.want != "") {
			t.Errorf("%s: got %q, %t, want %q", c.name, got, ok, c.want)
		}
	}
}

func TestCheckLambda(t *testing.T) {
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
	if err := CheckLambda(); err != nil {
		t.Errorf("in Lambda: %v", err)
	}
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "")
	if err := CheckLambda(); err == nil || !strings.Contains(err.Error(), "AWS_LAMBDA_RUNTIME_API is not set") {
		t.Errorf("outside of Lambda: %v", err)
	}
}
