package letter

import (
	"testing"
	"time"

	"plaudit/shared/timezone"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := timezone.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func ptr[T any](v T) *T { return &v }

// samples returns letters of every kind in English, by name.
func samples(t testing.TB) map[string]Letter {
	t.Helper()
	seoul := zone(t, "Asia/Seoul")
	at := time.Date(2026, 11, 28, 6, 10, 0, 0, time.UTC)
	earlier := time.Date(2026, 11, 22, 1, 31, 0, 0, time.UTC)
	month := time.Date(2026, 10, 31, 15, 0, 0, 0, time.UTC)
	quiz := Board{ID: "pub-quiz", Title: "Tuesday Pub Quiz", Unit: "points", Order: "desc", Zone: seoul}
	race := Board{ID: "han-river-10k", Title: "Han River 10K", Unit: "duration_ms", Order: "asc", Zone: seoul}
	skating := Board{ID: "skating", Title: "피겨 스케이팅 선발전", Unit: "points", Decimals: 2, Order: "desc", Zone: seoul}
	base := Letter{Locale: "en", Zone: seoul, Reader: "김진호", Actor: "Minji Kim", At: at, Unsubscribe: "https://scores.example.com/v1/unsubscribe/dG9rZW4tdG9rZW4tdG9rZW4"}
	is := func(change func(*Letter)) Letter {
		l := base
		change(&l)
		if !switchable[l.Kind] {
			l.Unsubscribe = ""
		}
		return l
	}
	original := &Entry{Kind: "result", Player: "bib-7", Board: race, Points: 2431000, OccurredAt: earlier, Reason: "10 km", Note: "Gun time"}
	all := map[string]Letter{
		"adjusted": is(func(l *Letter) {
			l.Kind, l.Board, l.Player = Adjusted, quiz, "Jin"
			l.Entries = []Entry{{Kind: "adjustment", Points: -5, Note: "Phone on the table in round 3", OccurredAt: at}}
			l.Scores = []Score{
				{Period: "all", From: ptr[int64](1240), To: ptr[int64](1235), FromKnown: true},
				{Period: "month", Start: month, From: ptr[int64](40), To: ptr[int64](35), FromKnown: true},
			}
		}),
		"adjusted.race": is(func(l *Letter) {
			l.Kind, l.Board, l.Player = Adjusted, race, "bib-7"
			l.Entries = []Entry{{Kind: "adjustment", Points: 5000, Note: "Cut the corner at km 7.\nSeen by two marshals.", OccurredAt: earlier}}
			l.Scores = []Score{{Period: "all", From: ptr[int64](2431000), To: ptr[int64](2436000), FromKnown: true}}
		}),
		"adjusted.key": is(func(l *Letter) {
			l.Kind, l.Actor, l.ByKey = Adjusted, "", true
			l.Entries = []Entry{{Kind: "adjustment", Board: skating, Player: "박서연", Points: 125, Reason: "bonus", Note: "Second jump counted", OccurredAt: at}}
			l.Scores = []Score{{Period: "2026 시즌", Start: month, To: ptr[int64](21250)}}
		}),
		"reversed": is(func(l *Letter) {
			l.Kind, l.Board, l.Player = Reversed, race, "bib-7"
			l.Entries = []Entry{{Kind: "reversal", Points: -2431000, Note: "The chip was worn by another runner", OccurredAt: at, Original: original}}
			l.Scores = []Score{{Period: "all", From: ptr[int64](2431000), FromKnown: true}}
		}),
		"batch": is(func(l *Letter) {
			l.Kind, l.Board, l.Player = Adjusted, quiz, "Jin"
			for i := range int64(300) {
				l.Entries = append(l.Entries, Entry{Kind: "adjustment", Points: i%7 - 4, Note: "Round counted twice", OccurredAt: earlier.Add(time.Duration(i) * time.Minute)})
			}
			l.Scores = []Score{{Period: "all", From: ptr[int64](1240), To: ptr[int64](937), FromKnown: true}}
		}),
		"batch.boards": is(func(l *Letter) {
			l.Kind = Reversed
			l.Entries = []Entry{
				{Kind: "reversal", Board: race, Player: "bib-7", Points: -2431000, Note: "Timing failed", OccurredAt: at, Original: original},
				{Kind: "adjustment", Board: quiz, Player: "Jin", Points: 3, Note: "Answer accepted", OccurredAt: at},
				{Kind: "reversal", Board: quiz, Player: "Jin", Points: 2, Note: "Wrong table", OccurredAt: at, Original: &Entry{Kind: "adjustment", Points: -2, OccurredAt: earlier}},
			}
			l.Scores = []Score{
				{Board: race, Player: "bib-7", Period: "all", From: ptr[int64](2431000), FromKnown: true},
				{Board: quiz, Player: "Jin", Period: "week", Start: time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC), From: ptr[int64](10), To: ptr[int64](15), FromKnown: true},
			}
		}),
		"player-changed": is(func(l *Letter) {
			l.Kind, l.Board, l.Player, l.Note = PlayerChanged, race, "bib-7", "Did not pass the mat at km 5"
			l.Changes = []Change{{Field: "status", From: "ranked", To: "disqualified"}}
		}),
		"player-erased": is(func(l *Letter) {
			l.Kind, l.Board, l.Player = PlayerErased, race, "bib-7"
			l.Changes = []Change{{Field: "display_name"}, {Field: "country"}, {Field: "user"}}
		}),
		"link-proposed": is(func(l *Letter) { l.Kind, l.Board, l.Player = LinkProposed, race, "bib-7" }),
		"link-ended":    is(func(l *Letter) { l.Kind, l.Board, l.Player = LinkEnded, race, "bib-7" }),
		"period-closed": is(func(l *Letter) {
			l.Kind, l.Board, l.Actor = PeriodClosed, quiz, ""
			l.Closed = &Closed{Period: "month", Start: month, End: month.AddDate(0, 0, 30), Of: 128, Top: []Place{
				{1, "Quizzly Bears", 412, false}, {2, "김진호", 398, true}, {3, "Les Quizérables", 377, false}, {3, "Agatha Quiztie", 377, false}, {5, "박서연", 350, false},
				{6, "Universally Challenged", 349, false}, {7, "The Know-Nothings", 310, false}, {8, "이민준", 288, false}, {9, "Trivia Newton John", 270, false}, {10, "Let’s Get Quizzical", 12, false},
			}}
		}),
		"period-closed.owner": is(func(l *Letter) {
			l.Kind, l.Board, l.Actor = PeriodClosed, race, ""
			l.Closed = &Closed{Period: "Spring 2026", Start: month, End: month.AddDate(0, 0, 30), Of: 1, Top: []Place{{1, "bib-7", 2431000, false}}}
		}),
		"role-changed": is(func(l *Letter) {
			l.Kind, l.Changes = RoleChanged, []Change{{Field: "role", From: "member", To: "organizer"}}
		}),
		"password-changed": is(func(l *Letter) { l.Kind, l.Actor = PasswordChanged, "" }),
		"email-changed":    is(func(l *Letter) { l.Kind, l.Actor = EmailChanged, "" }),
		"login-failed":     is(func(l *Letter) { l.Kind, l.Actor, l.Failed = LoginFailed, "", 5 }),
		"session-reused":   is(func(l *Letter) { l.Kind, l.Actor = SessionReused, "" }),
		"key-created": is(func(l *Letter) {
			l.Kind, l.Actor = KeyCreated, ""
			l.Key = &Key{Name: "Timing computer", Scopes: []string{"entries:write", "read"}, Boards: []string{"han-river-10k"}, Expires: at.AddDate(0, 6, 0)}
		}),
		"verify": is(func(l *Letter) {
			l.Kind, l.At, l.Actor, l.Link, l.LinkFor = Verify, time.Time{}, "", "https://scores.example.com/verify?token=c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", time.Hour
		}),
		"reset": is(func(l *Letter) {
			l.Kind, l.At, l.Actor, l.Link, l.LinkFor = Reset, time.Time{}, "", "https://scores.example.com/reset?token=c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", time.Hour
		}),
		"other": is(func(l *Letter) {
			l.Kind = Foreign
			l.Other = &Other{Source: "/tracker", Type: "com.example.task.moved", Subject: "task/17", Lines: Lines([]byte(
				`{"title": "Mark the course", "changes": {"state": {"from": "to do", "to": "doing"}, "hours": {"from": null, "to": 1.50}}, "labels": ["race day", "volunteers"]}`))}
		}),
	}
	return all
}
