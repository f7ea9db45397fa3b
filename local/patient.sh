#!/bin/sh
# Runs a command that is silent for a long time, and prints now and then how
# long it has been running. Usage: local/patient.sh WHAT COMMAND [ARGUMENT...]
set -u
what=$1
shift
echo "$what"

report() {
	elapsed=0
	pause=5
	sleeping=
	trap '[ -z "$sleeping" ] || kill "$sleeping"; exit' TERM
	while :; do
		# Its output is closed, so that it keeps no pipe open.
		sleep $pause >/dev/null 2>&1 &
		sleeping=$!
		wait "$sleeping"
		sleeping=
		kill -0 $$ 2>/dev/null || exit # after kill -9 of the script
		elapsed=$((elapsed + pause))
		echo "$what: $elapsed s so far"
		case $elapsed in
		5) pause=10 ;;
		15) pause=15 ;;
		*) pause=30 ;;
		esac
	done
}
report &
reporting=$!
trap 'kill "$reporting"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
"$@"
