#!/bin/sh
# english.sh refuses phrases that read like a translation (docs/style.md).
#
#   tools/english.sh          checks the tracked files of the repository
#   tools/english.sh DIR...   checks every file in these directories
#
# It prints file:line, the line and what to write instead, and exits with 1 if
# it refuses any. It does not find a phrase that is broken across lines.
set -u

if [ $# -eq 0 ]; then
	cd "$(dirname "$0")/.." || exit 2
	files=$(git ls-files) || exit 2
else
	files=$(find "$@" -type f) || exit 2
fi
files=$(printf '%s\n' "$files" | grep -E '(\.(go|sql|md|yaml|yml|sh|toml)|(^|/)(Makefile|Dockerfile))$' |
	grep -vE '(^|/)(docs/style\.md|tools/english\.sh|tests/style/[^/]*)$')
[ -n "$files" ] || exit 0
set -f
IFS='
'
# shellcheck disable=SC2086 # one file a line
set -- $files

# A rule per line: an extended regular expression, " => ", and the advice.
refused=0
while IFS= read -r rule; do
	found=$(grep -nIHE -e "${rule%% => *}" -- "$@")
	case $? in
	0)
		refused=1
		printf '%s\n' "$found" | while IFS= read -r line; do
			printf '%s\n\tinstead: %s\n' "$line" "${rule#* => }"
		done
		;;
	1) ;;
	*) exit 2 ;;
	esac
done <<'RULES'
(//|--|#) [A-Za-z_.]+ gives?\b => "returns", "makes"
\bgives (nil|what|whether|back)\b => "returns"
\bsays? whether\b => "reports whether", "decides whether"
\banew\b => "again", "new"
\b(is|are) none that\b => "is not a valid …"
\bof (then|before)([.,;:)]|$) => name the time: "previous", "earlier", "that it had when …"
\b(stands?|stood) there\b => "appears", "is in"
\bcannot stand beside\b => "cannot be combined with"
\bmay (name|hold|have) (up to )?(%d|[0-9]) => "must list (have) at most …"
\b(is|are|was|were) not there\b => "does not exist"
\bthere is such\b => "exists"
\btells? of\b => "reports", "describes"
\b[Ww]ho(m)?ever\b => name the subject
\b(has|have) a fault\b => "is invalid"
\b(first|last) instant that is\b => "is exclusive", "is inclusive"
\bof no [a-z]+ that\b => say what is wrong: "This session has ended."
\b[Ww]here there (is|are) (none|no|one|any)\b => "if there is …"
\b[Nn]o(body|one)'s\b => name the owner, or "without an owner", "no rule defines"
\bsays the (database|clock) => name the subject first: "The database clock decides …"
\bthat nobody knows\b => "unknown"
\bholds? that\b => "checks that"
\bhold(s|ing)? [a-z, ]+ against\b => "compares … with"
\b(may|must not) hold (an?|any[a-z]*)\b => "may contain"
\bfor ever\b => "forever"
\b[Ww]here (nothing|none|nobody)\b => "if nothing …", "if there is none"
[^e] (is|are) no (UTF-8|JSON|number|integer|date|list|object)\b => "is not a …", "must be a …"
\bthe (version|page|release) before\b => "the previous …"
\bas it (came|comes|stands)\b => "unchanged"
RULES
exit $refused
