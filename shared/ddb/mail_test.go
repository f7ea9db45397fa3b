package ddb_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/shared/claim"
	"plaudit/shared/ddb"
	"plaudit/shared/ddb/ddbtest"
)

var mailKey = claim.Key{Rule: "told", Of: "logid", User: "user"}

func mails(t *testing.T) *ddb.Mails {
	t.Helper()
	stack := ddbtest.Tables(t)
	return ddb.NewMails(stack.Config, stack.Mails, time.Hour)
}

func TestOneClaimOfManyWins(t *testing.T) {
	m := mails(t)
	var won atomic.Int32
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			there, ok, err := m.Put(t.Context(), mailKey, nil, claim.Claim{State: claim.Sending, Token: string(rune('a' + i)), Message: "m"})
			switch {
			case err != nil:
				t.Error(err)
			case ok:
				won.Add(1)
			case there == nil || there.State != claim.Sending:
				t.Errorf("%v is there", there)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

func TestAClaimIsReplacedByItsToken(t *testing.T) {
	m, ctx := mails(t), t.Context()
	until := time.UnixMilli(time.Now().Add(time.Minute).UnixMilli())
	first := claim.Claim{State: claim.Sending, Token: "1", Message: "m", Until: until}
	second := claim.Claim{State: claim.Sent, Token: "2", Message: "m"}
	if there, err := m.Get(ctx, mailKey); there != nil || err != nil {
		t.Fatalf("%v %v", there, err)
	}
	put := func(before *claim.Claim, next claim.Claim, want bool, there *claim.Claim) {
		t.Helper()
		got, ok, err := m.Put(ctx, mailKey, before, next)
		if err != nil || ok != want {
			t.Fatalf("%t %v", ok, err)
		}
		if !ok && (got == nil) != (there == nil) || got != nil && there != nil && *got != *there {
			t.Errorf("%v is there, want %v", got, there)
		}
	}
	put(&first, second, false, nil) // there is none
	put(nil, first, true, nil)
	if there, err := m.Get(ctx, mailKey); err != nil || there == nil || *there != first {
		t.Errorf("%v %v", there, err)
	}
	put(nil, second, false, &first)
	put(&second, claim.Claim{State: claim.Held, Token: "3"}, false, &first)
	put(&first, second, true, nil)
	put(&first, first, false, &second)
	put(&second, claim.Claim{State: claim.Free, Token: "4"}, true, nil)
}

// Another mail is another claim.
func TestClaimsAreApart(t *testing.T) {
	m, ctx := mails(t), t.Context()
	for i, key := range []claim.Key{mailKey, {Rule: "security", Of: "logid", User: "user"}, {Rule: "told", Of: "batch:x", User: "user"}, {Rule: "told", Of: "logid", User: "other"}} {
		if _, ok, err := m.Put(ctx, key, nil, claim.Claim{State: claim.Sent, Token: string(rune('a' + i))}); !ok || err != nil {
			t.Errorf("%v: %t %v", key, ok, err)
		}
	}
}

// The first attempt of each write is done, and its answer is lost: the client sends it
// again, and finds its own claim.
func TestAClaimWhoseAnswerWasLostIsOnesOwn(t *testing.T) {
	stack := ddbtest.Tables(t)
	var writes atomic.Int64
	faulty(t, &stack, func(w http.ResponseWriter, r *http.Request, engine http.Handler) {
		if operation(r) == "PutItem" && writes.Add(1)%2 == 1 {
			engine.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		engine.ServeHTTP(w, r)
	})
	m, ctx := ddb.NewMails(stack.Config, stack.Mails, time.Hour), t.Context()
	first, second := claim.Claim{State: claim.Sending, Token: "1"}, claim.Claim{State: claim.Sent, Token: "2"}
	if _, ok, err := m.Put(ctx, mailKey, nil, first); !ok || err != nil {
		t.Errorf("the first: %t %v", ok, err)
	}
	if _, ok, err := m.Put(ctx, mailKey, &first, second); !ok || err != nil {
		t.Errorf("the second: %t %v", ok, err)
	}
	if ok, err := m.Allow(ctx, "user", time.Now(), mailKey, 1); !ok || err != nil {
		t.Errorf("the hour: %t %v", ok, err)
	}
	if writes.Load() != 6 {
		t.Errorf("%d attempts, want 6", writes.Load())
	}
}

func TestClaimsExpire(t *testing.T) {
	stack := ddbtest.Tables(t)
	m, ctx := ddb.NewMails(stack.Config, stack.Mails, 48*time.Hour), t.Context()
	now := time.Date(2026, 1, 5, 9, 59, 0, 0, time.UTC)
	if _, ok, err := m.Put(ctx, mailKey, nil, claim.Claim{State: claim.Sent, Token: "1"}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := m.Allow(ctx, "user", now, mailKey, 1); !ok || err != nil {
		t.Fatal(ok, err)
	}
	out, err := dynamodb.NewFromConfig(stack.Config).Scan(ctx, &dynamodb.ScanInput{TableName: &stack.Mails})
	if err != nil || len(out.Items) != 2 {
		t.Fatalf("%d items, %v", len(out.Items), err)
	}
	for _, item := range out.Items {
		if _, ok := item[ddbtest.TTL].(*types.AttributeValueMemberN); !ok {
			t.Errorf("%v does not expire", item)
		}
	}
}

func TestAnHourHasALimit(t *testing.T) {
	m, ctx := mails(t), t.Context()
	now := time.Date(2026, 1, 5, 9, 59, 0, 0, time.UTC)
	key := func(of string) claim.Key { return claim.Key{Rule: "told", Of: of, User: "user"} }
	allow := func(want bool, user, of string, at time.Time) {
		t.Helper()
		if ok, err := m.Allow(ctx, user, at, key(of), 2); err != nil || ok != want {
			t.Errorf("%s of %s: %t %v", of, user, ok, err)
		}
	}
	allow(true, "user", "1", now)
	allow(true, "user", "1", now) // again is not one more
	allow(true, "user", "2", now)
	allow(false, "user", "3", now)
	allow(true, "user", "2", now)
	allow(true, "other", "3", now)
	allow(true, "user", "3", now.Add(time.Minute)) // the next hour

	var allowed atomic.Int64
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			ok, err := m.Allow(ctx, "many", now, key(string(rune('a'+i))), 2)
			if err != nil {
				t.Error(err)
			}
			if ok {
				allowed.Add(1)
			}
		})
	}
	wait.Wait()
	if allowed.Load() != 2 {
		t.Errorf("%d are allowed at once, want 2", allowed.Load())
	}
}

func TestAMissingTableOfMailsIsReported(t *testing.T) {
	stack := ddbtest.Tables(t)
	if err := ddb.NewMails(stack.Config, stack.Mails, time.Hour).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := ddb.NewMails(stack.Config, "other", time.Hour).Check(t.Context()); err == nil {
		t.Error("a table that does not exist is taken")
	}
}
