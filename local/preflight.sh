#!/bin/sh
# Lists every tool that this machine lacks, all at once, before anything
# starts. Usage: local/preflight.sh run|test [OPTION OF THE LAPTOP CLOUD...]
set -u
cd "$(dirname "$0")/.." || exit 1

missing=0
lacks() { # what, help for Debian and Ubuntu, help for macOS
	[ $missing -eq 0 ] && echo "This machine lacks:" >&2
	missing=1
	printf '  - %s\n      Debian, Ubuntu: %s\n      macOS:          %s\n' "$1" "$2" "$3" >&2
}

older() { # versions a and b: is a older?
	[ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# Go from 1.21 on downloads the version that go.mod names. Debian 12 has 1.19,
# Debian 13 has 1.24.
want=$(sed -n 's/^go //p' go.mod)
lacks_go() { # what
	packaged=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*:\)*\([0-9][0-9.]*\).*/\2/p')
	if [ -z "$packaged" ]; then
		debian="sudo apt-get install golang-go, if that is Go 1.21 or later (it then downloads $want); else https://go.dev/dl"
	elif older "$packaged" 1.21; then
		debian="https://go.dev/dl (the package golang-go is Go $packaged here; only 1.21 and later download $want by themselves, such as 1.23 of bookworm-backports)"
	else
		debian="sudo apt-get install golang-go (Go $packaged here, which downloads $want)"
	fi
	lacks "$1" "$debian" "brew install go"
}
have_go=
if ! command -v go >/dev/null 2>&1; then
	lacks_go "Go $want"
elif ! found=$(go env GOVERSION); then # it prints why, and what it downloads
	lacks_go "Go $want (installed: one that could not download it)"
elif older "$found" "go$want"; then
	lacks_go "Go $want (installed: $found)"
else
	have_go=1
fi

# The laptop cloud downloads PostgreSQL if it is not installed.
postgres=${PLAUDIT_POSTGRES_BIN:-}
if [ -z "$postgres" ] && ! command -v initdb >/dev/null 2>&1 &&
	! ls /usr/lib/postgresql/*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb /usr/local/opt/postgresql*/bin/initdb >/dev/null 2>&1; then
	echo "PostgreSQL is not installed: it will be downloaded, once. Without a network: apt-get install postgresql, or brew install postgresql@17." >&2
elif [ -n "$postgres" ] && [ ! -x "$postgres/initdb" ]; then
	lacks "initdb in PLAUDIT_POSTGRES_BIN=$postgres" "unset PLAUDIT_POSTGRES_BIN, or sudo apt-get install postgresql" \
		"unset PLAUDIT_POSTGRES_BIN, or brew install postgresql@17"
fi

# The engine of DynamoDB, S3 and SQS runs in a virtual environment. macOS's own
# python3 is too old, so run takes other names, too; local/ministack/install.go has
# the same list. The tools of test are installed by python3 itself.
names=python3
[ "${1:-run}" = test ] || names="python3 python3.14 python3.13 python3.12 python3.11 python3.10"
have_python=
for name in $names; do
	if "$name" -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
		have_python=1
		break
	fi
done
case " $* " in
*-aws-endpoint*) have_python=1 ;; # another engine runs already
esac
[ -n "$have_python" ] ||
	lacks "Python 3.10 or later with venv, for the engine of DynamoDB, S3 and SQS" "sudo apt-get install python3 python3-venv" "brew install python3"

if [ "${1:-run}" = test ]; then
	command -v git >/dev/null 2>&1 || lacks git "sudo apt-get install git" "brew install git"
	# Without Go, the compiler that Go would use.
	compiler=${CC:-gcc}
	[ -z "$have_go" ] || compiler=$(go env CC)
	if ! command -v "$compiler" >/dev/null 2>&1; then
		lacks "a C compiler ($compiler), for the race detector" "sudo apt-get install gcc libc6-dev" "xcode-select --install"
	elif [ -n "$have_go" ] && [ "$(go env CGO_ENABLED)" != 1 ]; then
		lacks "cgo, for the race detector" "unset CGO_ENABLED" "unset CGO_ENABLED"
	fi
fi
[ $missing -eq 0 ] || exit 1
