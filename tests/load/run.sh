#!/usr/bin/env bash
# Loads a running laptop cloud (`make run`) with wrk: adds to 10,000 players,
# then pages and ranks, at 1 and 16 clients. Bounded in time, and on loopback only.
# Usage: tests/load/run.sh [seconds of each run]
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk, brew install wrk" >&2; exit 1; }
seconds=${1:-10}
eval "$(.local/bin/plaudit login)"
case $URL in http://127.0.0.1:*) ;; *) echo "$URL is not on loopback" >&2; exit 1 ;; esac
export TOKEN BOARD="load-$(date +%s)"
curl -fsS "$URL/v1/boards" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
	-d "{\"id\": \"$BOARD\", \"title\": \"Load\"}" >/dev/null
for first in $(seq 1 1000 9001); do
	seq "$first" $((first + 999)) | awk -v board="$BOARD" '
		BEGIN { printf "{\"entries\": [" }
		{ printf "%s{\"board\": \"%s\", \"player\": \"p%d\", \"points\": 1}", (NR > 1 ? ", " : ""), board, $1 }
		END { print "]}" }' |
		curl -fsS "$URL/v1/entries/batch" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d @- >/dev/null
done
for WHAT in add list rank; do
	for clients in 1 16; do
		export WHAT
		echo "== $WHAT, $clients clients"
		wrk -t1 -c"$clients" -d"${seconds}s" --latency -s tests/load/add.lua "$URL" |
			grep -E 'refused|50%|99%|Requests/sec|Non-2xx|Socket'
	done
done
