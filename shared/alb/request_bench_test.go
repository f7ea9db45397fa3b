package alb

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"plaudit/shared/access"
	"plaudit/shared/jose"
	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/scores"
)

// BenchmarkAdd measures score-add without its database, from the event's JSON to
// the answer's.
func BenchmarkAdd(b *testing.B) {
	private, public, err := jose.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	signer, err := jose.NewSigner(private)
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := jose.NewVerifier(public)
	if err != nil {
		b.Fatal(err)
	}
	token, err := signer.Sign(access.Caller{User: "owner", Role: access.Organizer, Session: "s"}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(io.Discard, nil)))
	b.Cleanup(func() { slog.SetDefault(before) })
	h := lambda.NewHandler(newServer(web.New(
		web.Config{Deployable: "score-add", Verifier: verifier},
		scores.Add(&score.Adder{Ledger: ledger{}, Now: time.Now}))).invoke)

	items := make([]string, 1000)
	for i := range items {
		items[i] = fmt.Sprintf(`{"board": "seoul-2026", "player": "runner-%d", "points": %d, "occurred_at": "2026-04-05T12:00:00Z"}`, i, i%100)
	}
	for name, request := range map[string]struct{ path, body string }{
		"an entry": {"/v1/boards/seoul-2026/entries", `{"player": "runner-7", "points": 42, "occurred_at": "2026-04-05T12:00:00Z"}`},
		"a batch":  {"/v1/entries/batch", `{"entries": [` + strings.Join(items, ", ") + `]}`},
	} {
		body, err := json.Marshal(request.body)
		if err != nil {
			b.Fatal(err)
		}
		payload := []byte(event("POST", request.path, `, "body": `+string(body)+`, "multiValueHeaders": {"host": ["plaudit.example"], "accept": ["*/*"],
			"authorization": ["Bearer `+token+`"], "content-type": ["application/json"], "idempotency-key": ["race-42"], "user-agent": ["curl/8.5.0"],
			"x-amzn-trace-id": ["Root=1-5bdb40ca-556d8b0c50dc66f0511bf520"], "x-forwarded-for": ["203.0.113.7"], "x-forwarded-port": ["443"], "x-forwarded-proto": ["https"]}`))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := invokeContext()
			for b.Loop() {
				answer, err := h.Invoke(ctx, payload)
				if err != nil || !strings.HasPrefix(string(answer), `{"statusCode":201`) {
					b.Fatalf("%v %.200s", err, answer)
				}
			}
		})
	}
}

// ledger writes nothing and answers as if it had.
type ledger struct{}

func (ledger) Board(_ context.Context, id string, _ score.Visitor) (score.Found, error) {
	return score.Found{Board: score.NewBoard(id, "owner")}, nil
}

func (ledger) Add(_ context.Context, a score.Addition) (score.Outcome, error) {
	if a.Batch != "" {
		lines := make([]score.BatchEntry, len(a.Items))
		for i, item := range a.Items {
			lines[i] = score.BatchEntry{ID: item.ID, Board: item.Board, Player: item.Player, Points: item.Points, Batch: a.Batch}
		}
		return score.Outcome{Entries: lines}, nil
	}
	item, total := a.Items[0], int64(1234)
	return score.Outcome{Added: &score.Added{Entry: score.Entry{
		ID: item.ID, Board: item.Board, Player: item.Player, Seq: 1, Kind: item.Kind, Points: item.Points, Actor: a.Actor,
		OccurredAt: item.OccurredAt, RecordedAt: item.OccurredAt, Standings: []score.Credit{{Period: score.All, Score: &total}},
	}}}, nil
}
