package part

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Foreign returns what shows that a request for a loopback port comes from a web page in
// a browser of this machine, or "". A page can send requests to any port, and one whose
// name in the DNS is changed to 127.0.0.1 can read the answers. Other names and addresses
// than those of the loopback are admitted if they are in also.
func Foreign(r *http.Request, port string, also ...string) string {
	if _, ok := r.Header["Origin"]; ok {
		return "the header Origin"
	}
	// https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "none" && site != "same-origin" {
		return "the header Sec-Fetch-Site: " + site
	}
	name, at, err := net.SplitHostPort(r.Host)
	if err != nil {
		name, at = strings.Trim(r.Host, "[]"), "80"
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	address, _ := netip.ParseAddr(name)
	// No browser asks the DNS for names below localhost: RFC 6761, section 6.3.
	local := address.Unmap().IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
	if at != port || !local && !slices.Contains(also, name) {
		return fmt.Sprintf("the header Host: %q, which is not a name of this port", r.Host)
	}
	return ""
}
