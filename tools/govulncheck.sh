#!/bin/sh
# Looks for known vulnerabilities in what the binaries call. Its data comes
# over the network. If it cannot be reached, print that and continue.
out=$(go tool -modfile=tools/go.mod govulncheck ./... 2>&1)
status=$?
if [ $status -ne 0 ] && printf '%s' "$out" | grep -q 'fetching vulnerabilities'; then
	echo "govulncheck: left out, its data cannot be reached from here"
	exit 0
fi
printf '%s\n' "$out"
exit $status
