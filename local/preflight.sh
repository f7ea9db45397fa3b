#!/bin/sh
# Names everything that this machine lacks, all at once, before anything
# starts. Usage: local/preflight.sh run|test
set -u
cd "$(dirname "$0")/.." || exit 1

missing=0
lacks() { # what, Debian packages, Homebrew packages, more
	[ $missing -eq 0 ] && echo "This machine lacks:" >&2
	missing=1
	printf '  - %s\n      Debian, Ubuntu: sudo apt-get install %s\n      macOS:          brew install %s\n' "$1" "$2" "$3" >&2
	[ -z "${4:-}" ] || printf '      %s\n' "$4" >&2
}

# Any Go from 1.21 on fetches the version that go.mod names by itself.
want=$(sed -n 's/^go //p' go.mod)
if ! command -v go >/dev/null 2>&1; then
	lacks "Go $want" golang-go go "or the installer from https://go.dev/dl"
elif ! found=$(go env GOVERSION 2>&1); then
	lacks "Go $want ($found)" golang-go go "or the installer from https://go.dev/dl"
else
	old=$(printf '%s\n%s\n' "go$want" "$found" | sort -V | head -n 1)
	[ "$old" = "go$want" ] || lacks "Go $want (there is $found)" golang-go go "or the installer from https://go.dev/dl"
fi

# initdb and postgres, or what an earlier run fetched, or a network to fetch
# them by. Nothing says that a network is missing but an attempt, which the
# laptop cloud makes before it starts anything.
postgres=${PLAUDIT_POSTGRES_BIN:-}
if [ -z "$postgres" ] && ! command -v initdb >/dev/null 2>&1 &&
	! ls /usr/lib/postgresql/*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb /usr/local/opt/postgresql*/bin/initdb >/dev/null 2>&1; then
	echo "PostgreSQL is not installed: it is fetched once, which needs a network (or: apt-get install postgresql, brew install postgresql@17)." >&2
elif [ -n "$postgres" ] && [ ! -x "$postgres/initdb" ]; then
	lacks "initdb in PLAUDIT_POSTGRES_BIN=$postgres" postgresql postgresql@17 "or unset PLAUDIT_POSTGRES_BIN"
fi

if [ "${1:-run}" = test ]; then
	command -v git >/dev/null 2>&1 || lacks git git git
	if ! command -v python3 >/dev/null 2>&1; then
		lacks "Python 3.9 or later, for the AWS SAM CLI and cfn-lint" "python3 python3-venv" python3
	elif ! python3 -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then
		lacks "Python 3.9 or later with venv, for the AWS SAM CLI and cfn-lint" "python3 python3-venv" python3
	fi
	if [ "$(go env CGO_ENABLED 2>/dev/null)" != 1 ] || ! command -v "$(go env CC 2>/dev/null)" >/dev/null 2>&1; then
		lacks "a C compiler, for the race detector" gcc gcc
	fi
fi
[ $missing -eq 0 ] || exit 1
