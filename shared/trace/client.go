package trace

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Client gives the client's address in the form of http.Request.RemoteAddr,
// with port 0 where the load balancer does not tell it. The last of
// X-Forwarded-For is the balancer's own observation; those before it are the
// client's word. Not ok: there is none, or it is no address.
func Client(h http.Header) (addr string, ok bool) {
	lines := h.Values("X-Forwarded-For")
	if len(lines) == 0 {
		return "", false
	}
	last := lines[len(lines)-1]
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	if _, err := netip.ParseAddr(last); err == nil {
		return net.JoinHostPort(last, "0"), true
	}
	_, err := netip.ParseAddrPort(last)
	return last, err == nil
}
