package rds

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Ignored returns those parameters of a DB parameter group that have no effect
// on a laptop, with the reason.
func Ignored(parameters map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range parameters {
		switch {
		case strings.HasPrefix(name, "rds."):
			out[name] = "a parameter of RDS itself, unknown to PostgreSQL"
		case strings.ContainsRune(value, '{'):
			out[name] = "a formula over the instance class"
		}
	}
	return out
}

// fixed are settings that no parameter group changes.
func fixed(port int, bridge netip.Prefix) [][2]string {
	addresses := "127.0.0.1"
	if bridge.IsValid() {
		addresses += "," + bridge.Addr().String()
	}
	return [][2]string{
		{"listen_addresses", addresses},
		{"port", fmt.Sprint(port)},
		// No socket: its path has a limit of about 100 characters, and
		// whatever connects uses the template's address.
		{"unix_socket_directories", ""},
		{"fsync", "on"},
		{"full_page_writes", "on"},
		{"password_encryption", "scram-sha-256"},
		{"ssl", "off"},
		{"logging_collector", "off"},
		{"log_destination", "stderr"},
	}
}

// settings returns postgres's -c arguments. If a name appears twice, the last one counts.
func settings(parameters map[string]string, port int, bridge netip.Prefix) []string {
	ignored := Ignored(parameters)
	args := []string{
		"-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "log_line_prefix=%m [%p] %q%u@%d ",
		// RDS's own is a quarter of the instance's memory, and the smallest
		// instance has 1 GiB
		// (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Tuning.concepts.memory.html).
		"-c", "shared_buffers=256MB",
	}
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		if ignored[name] == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		args = append(args, "-c", name+"="+parameters[name])
	}
	for _, s := range fixed(port, bridge) {
		args = append(args, "-c", s[0]+"="+s[1])
	}
	return args
}
