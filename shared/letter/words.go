package letter

// pair is a word in both languages.
type pair struct{ en, ko string }

func (w in) pair(p pair) string { return w.say(p.en, p.ko) }

// statuses are the statuses of players.
var statuses = map[string]pair{
	"ranked":       {"ranked", "순위 반영"},
	"hidden":       {"hidden", "숨김"},
	"under_review": {"under review", "검토 중"},
	"disqualified": {"disqualified", "실격"},
	"dnf":          {"did not finish (DNF)", "완주하지 못함 (DNF)"},
	"dns":          {"did not start (DNS)", "출전하지 않음 (DNS)"},
}

// effects are what a status means for its player.
var effects = map[string]pair{
	"ranked":       {"You have a rank again, in every period that is still open.", "마감되지 않은 기간의 순위에 다시 반영됩니다."},
	"hidden":       {"You are no longer shown on the board and have no rank.", "점수판에 표시되지 않으며 순위에서 제외됩니다."},
	"under_review": {"You have no rank while the review lasts.", "검토하는 동안 순위에서 제외됩니다."},
	"disqualified": {"You have no rank any more. Your entries remain.", "순위에서 제외됩니다. 기록은 그대로 남습니다."},
	"dnf":          {"You have no rank. Your entries remain.", "순위에서 제외됩니다. 기록은 그대로 남습니다."},
	"dns":          {"You have no rank. Your entries remain.", "순위에서 제외됩니다. 기록은 그대로 남습니다."},
}

// roles are the roles of accounts.
var roles = map[string]pair{
	"member":    {"member", "일반 회원"},
	"organizer": {"organizer", "주최자"},
	"auditor":   {"auditor", "감사자"},
	"admin":     {"admin", "관리자"},
}

// allowances are what a role allows.
var allowances = map[string]pair{
	"member":    {"You can use your account and take part, but not create boards.", "계정을 사용하고 참가할 수 있지만 점수판을 만들 수는 없습니다."},
	"organizer": {"You can create boards.", "점수판을 만들 수 있습니다."},
	"auditor":   {"You can read everything and change nothing.", "모든 내용을 볼 수 있으며, 변경할 수는 없습니다."},
	"admin":     {"You can change every board and every account's role.", "모든 점수판과 모든 계정의 역할을 변경할 수 있습니다."},
}

// scopes are what an API key is for.
var scopes = map[string]pair{
	"entries:write": {"add entries and change players", "기록 추가와 참가자 변경"},
	"boards:write":  {"change boards", "점수판 변경"},
	"events:write":  {"write to the audit log", "감사 로그에 쓰기"},
	"read":          {"read", "읽기"},
}

// fields are the fields of players.
var fields = map[string]pair{
	"status":       {"Status", "상태"},
	"display_name": {"Name", "이름"},
	"country":      {"Country", "국가"},
	"attributes":   {"Attributes", "속성"},
	"note":         {"Note", "메모"},
	"user":         {"Link to your account", "회원님 계정과의 연결"},
	"metadata":     {"Metadata of entries", "기록의 부가 정보"},
}

// word returns a word of ours for one of the API, or the API's if there is none.
func (w in) word(words map[string]pair, s string) string {
	if p, ok := words[s]; ok {
		return w.pair(p)
	}
	return foreign{s, maxName}.String()
}

// upper returns the text with a capital letter first.
func upper(s string) string {
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}
