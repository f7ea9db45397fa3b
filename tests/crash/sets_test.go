package crash

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"

	"plaudit/local/ministack/enginetest"
	"plaudit/shared/event"
)

const (
	stackName   = "plaudit-local"
	eventsTable = stackName + "-events"
	indexTable  = stackName + "-event-index"
)

// complete waits until nothing is on its way any more, and fails if what clients were
// told, the databases, the log, its index, and what its consumer has handled differ.
func (l *load) complete() {
	l.t.Helper()
	if l.t.Failed() {
		return
	}
	v := look(l.t)
	if err := wait(stack.closePeriods); err != nil {
		l.t.Fatal(err)
	}
	if err := wait(func() error { return l.compare(v) }); err != nil {
		l.t.Fatalf("%v\n%s\n%s", err, stack.Log.String(), stack.tail())
	}
	l.t.Logf("%d entries, %d events of others, %d requests failed and were repeated; %d rows, %d events", len(l.wants.entries), len(l.wants.foreign), l.errors.Load(), v.rows, v.events)
}

// tail returns the last warnings and errors of the laptop cloud's log.
func (c *checkout) tail() string {
	text, _ := os.ReadFile(c.File("laptop.log"))
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "ERROR") || strings.Contains(line, "WARN") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-20):], "")
}

// check runs `plaudit audit check`.
func check(t *testing.T) {
	t.Helper()
	if out, err := plaudit("audit", "check"); err != nil {
		t.Fatalf("plaudit audit check: %v\n%s", err, out)
	}
}

// closePeriods invokes period-close.
func (c *checkout) closePeriods() error {
	cmd := exec.Command(c.Program("local"), "invoke", "period-close", filepath.Join("events", "period-close", "schedule.ok.json"))
	cmd.Dir = c.Root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("invoke period-close: %w\n%s", err, out)
	}
	return nil
}

func plaudit(args ...string) (string, error) {
	cmd := exec.Command(stack.Program("plaudit"), args...)
	cmd.Dir = stack.Root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// view reads what everything has.
type view struct {
	t             *testing.T
	scores, users *sqlx.DB // as the roles that own the tables
	tables        *dynamodb.Client
	objects       *s3.Client
	rows, events  int
}

func look(t *testing.T) *view {
	t.Helper()
	open := func(name string) *sqlx.DB {
		db, err := sqlx.Open("postgres", stack.owner(t, name))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxIdleConns(0) // the connections would outlive a start
		t.Cleanup(func() { db.Close() })
		return db
	}
	config := enginetest.InAccount(stack.Info.AWS, "laptop")
	return &view{
		t: t, scores: open("scores"), users: open("users"), tables: dynamodb.NewFromConfig(config),
		objects: s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true }),
	}
}

// owner returns the address of a database for the role that owns its tables.
func (c *checkout) owner(t *testing.T, name string) string {
	t.Helper()
	var secrets map[string]string
	text, err := os.ReadFile(c.File("secrets.json"))
	if err == nil {
		err = json.Unmarshal(text, &secrets)
	}
	address, err2 := url.Parse(c.Info.Databases[name].URL)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("db_migrate", secrets[map[string]string{"scores": "ScoresDbPassword", "users": "UsersDbPassword"}[name]])
	return address.String()
}

// compare returns how what clients were told and what is there differ.
func (l *load) compare(v *view) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := l.compareChanges(ctx, v); err != nil {
		return err
	}
	if err := v.compare(ctx, l.foreign()); err != nil {
		return err
	}
	return l.compareMails(ctx, v)
}

func (l *load) foreign() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := map[string]string{}
	for id, data := range l.wants.foreign {
		want[event.LogID(foreignSource, id)] = data
	}
	return want
}

// compareChanges compares what clients were told with the databases.
func (l *load) compareChanges(ctx context.Context, v *view) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var entries []struct {
		Key    string
		Points int
	}
	if err := v.scores.SelectContext(ctx, &entries, `
		SELECT k.key, e.points FROM entries e JOIN boards b ON b.no = e.board LEFT JOIN entry_keys k ON k.entry = e.id WHERE b.id = $1`, l.board); err != nil {
		return err
	}
	if len(entries) != len(l.wants.entries) {
		return fmt.Errorf("the ledger has %d entries, clients have added %d", len(entries), len(l.wants.entries))
	}
	for _, e := range entries {
		if want, ok := l.wants.entries[e.Key]; !ok || want != e.Points {
			return fmt.Errorf("the ledger has an entry with the key %q and %d points, which no client was told of", e.Key, e.Points)
		}
	}
	for _, c := range []struct {
		what  string
		db    *sqlx.DB
		query string
		arg   any
		want  int
	}{
		{"changes of the board's title", v.scores, `SELECT count(*) FROM outbox WHERE kind = 'event' AND subject = $1 AND type = 'plaudit.board.updated'`, "board/" + l.board, len(l.wants.titles)},
		{"changes of players", v.scores, `SELECT count(*) FROM outbox WHERE kind = 'event' AND subject LIKE $1 AND type = 'plaudit.player.changed'`, "board/" + l.board + "/player/changed-%", len(l.wants.changed)},
		{"accounts", v.users, `SELECT count(*) FROM users u JOIN outbox o ON o.subject = 'user/' || u.id WHERE u.email LIKE $1 AND o.type = 'plaudit.user.created'`, l.prefix + "-%", len(l.wants.signUps)},
		{"changes of the account's name", v.users, `SELECT count(*) FROM outbox WHERE kind = 'event' AND subject = $1 AND type = 'plaudit.user.updated'`, "user/" + l.user, l.wants.named},
	} {
		var n int
		if err := c.db.GetContext(ctx, &n, c.query, c.arg); err != nil {
			return err
		}
		if n != c.want {
			return fmt.Errorf("there are events of %d %s, clients have made %d", n, c.what, c.want)
		}
	}
	var closed []string
	if err := v.scores.SelectContext(ctx, &closed, `SELECT substr(subject, 7) FROM outbox WHERE type = 'plaudit.board.period-closed' AND subject LIKE $1`, "board/"+l.prefix+"-%"); err != nil {
		return err
	}
	// A clock that was set back says that some have not closed yet.
	var early []string
	if err := v.scores.SelectContext(ctx, &early, `SELECT id FROM boards WHERE id LIKE $1 AND opened_at > plaudit_now()`, l.prefix+"-past-%"); err != nil {
		return err
	}
	want := slices.DeleteFunc(slices.Sorted(slices.Values(l.wants.closed)), func(board string) bool {
		return slices.Contains(early, board) && !slices.Contains(closed, board)
	})
	if slices.Sort(closed); !slices.Equal(closed, want) {
		return fmt.Errorf("the periods of %q are announced, and those of %q have closed", closed, want)
	}
	var name string
	err := v.scores.GetContext(ctx, &name, `SELECT coalesce(p.display_name, '') FROM players p JOIN boards b ON b.no = p.board WHERE b.id = $1 AND p.id = $2`, l.people, l.user)
	if err != nil || name != l.wants.name {
		return fmt.Errorf("the player's name is %q, and the account's %q: %v", name, l.wants.name, err)
	}
	return nil
}

// row is a row of an outbox, as far as comparing needs it.
type row struct {
	ID         int64
	Tag        string
	Sent       bool
	Entry      sql.NullString
	Subject    string
	SubjectSeq sql.NullInt64 `db:"subjectseq"`
	Seq        sql.NullInt64
	Recorded   time.Time `db:"recordedtime"`
}

// compare compares the databases with the log, its index and what was handled. foreign
// has the data of other systems' events, by logid, that must be there.
func (v *view) compare(ctx context.Context, foreign map[string]string) error {
	want, err := v.committed(ctx)
	if err != nil {
		return err
	}
	there, err := v.log(ctx)
	if err != nil {
		return err
	}
	index, err := v.index(ctx)
	if err != nil {
		return err
	}
	handled, err := handledEvents()
	if err != nil {
		return err
	}
	v.rows, v.events = len(want), len(there)
	for id, r := range want {
		if _, ok := there[id]; !ok {
			return fmt.Errorf("the log lacks the event of row %d of %s", r.ID, r.Subject)
		}
	}
	for id, data := range foreign {
		e, ok := there[id]
		if !ok || string(e.JSON) != data {
			return fmt.Errorf("the log has %q, a client has sent %q", e.JSON, data)
		}
	}
	for id, e := range there {
		_, ours := want[id]
		switch {
		case event.Ours(e.Source) && !ours:
			return fmt.Errorf("the log has the event %s %s of %s, which belongs to no committed change", e.Source, e.ID, e.Subject)
		case e.LogID != id || event.LogID(e.Source, e.ID) != id:
			return fmt.Errorf("the log has the event %s %s under %s", e.Source, e.ID, id)
		case index[id] != 5:
			return fmt.Errorf("the event %s %s has %d index items", e.Source, e.ID, index[id])
		case !e.restored && !handled[id]:
			return fmt.Errorf("audit-publish has not handled the event %s %s", e.Source, e.ID)
		}
	}
	for id := range index {
		if _, ok := there[id]; !ok {
			return fmt.Errorf("the index has %s, and the log has not", id)
		}
	}
	return v.nothingDiscarded(ctx)
}

// committed returns the rows of both outboxes, by the logid of their event. It checks
// that each entry has a row, that none waits, and that events count without gaps.
func (v *view) committed(ctx context.Context) (map[string]row, error) {
	want := map[string]row{}
	for _, o := range []struct {
		source string
		db     *sqlx.DB
		query  string
	}{
		{event.Scores, v.scores, `
			SELECT o.id, coalesce(o.tag::text, '') AS tag, o.sent_at IS NOT NULL AS sent, o.entry, coalesce(o.subject, 'board/' || b.id || '/player/' || e.player) AS subject, o.subjectseq, e.seq, o.recordedtime
			FROM outbox o LEFT JOIN entries e ON e.id = o.entry LEFT JOIN boards b ON b.no = e.board
			WHERE o.kind = 'event'`},
		{event.Users, v.users, `
			SELECT id, coalesce(tag::text, '') AS tag, sent_at IS NOT NULL AS sent, entry, subject, subjectseq, NULL::bigint AS seq, recordedtime FROM outbox WHERE kind = 'event'`},
	} {
		var rows []row
		if err := o.db.SelectContext(ctx, &rows, o.query); err != nil {
			return nil, err
		}
		entries := map[string]int{}
		for _, r := range rows {
			if !r.Sent {
				return nil, fmt.Errorf("row %d of %s waits", r.ID, r.Subject)
			}
			if r.Entry.Valid {
				entries[r.Entry.String]++
			}
			want[event.LogID(o.source, event.RowID(r.ID, r.Tag))] = r
		}
		if err := inOrder(rows); err != nil {
			return nil, err
		}
		if o.source == event.Scores {
			var ledger []string
			if err := o.db.SelectContext(ctx, &ledger, `SELECT id FROM entries`); err != nil {
				return nil, err
			}
			for _, id := range ledger {
				if entries[id] != 1 {
					return nil, fmt.Errorf("the entry %s has %d rows in the outbox", id, entries[id])
				}
			}
		}
		var profiles, failed int
		err := errors.Join(o.db.GetContext(ctx, &profiles, `SELECT count(*) FROM outbox WHERE kind = 'profile'`), o.db.GetContext(ctx, &failed, `SELECT count(*) FROM outbox_failed`))
		if err != nil || profiles > 0 || failed > 0 {
			return nil, fmt.Errorf("%s: %d profiles wait, %d rows were set aside: %v", o.source, profiles, failed, err)
		}
	}
	return want, nil
}

// inOrder checks that the events of each subject count 1, 2, 3 …, entries for themselves,
// and that the later one was recorded later.
func inOrder(rows []row) error {
	bySubject := map[string][]row{}
	for _, r := range rows {
		kind := " entries"
		if !r.Seq.Valid {
			r.Seq, kind = r.SubjectSeq, " others"
		}
		bySubject[r.Subject+kind] = append(bySubject[r.Subject+kind], r)
	}
	for subject, rows := range bySubject {
		slices.SortFunc(rows, func(a, b row) int { return int(a.Seq.Int64 - b.Seq.Int64) })
		for i, r := range rows {
			if r.Seq.Int64 != int64(i)+1 {
				return fmt.Errorf("the event %d of %s has the number %d", i+1, subject, r.Seq.Int64)
			}
			if i > 0 && !r.Recorded.After(rows[i-1].Recorded) {
				return fmt.Errorf("the event %d of %s was recorded at %s, the one before at %s", i+1, subject, r.Recorded, rows[i-1].Recorded)
			}
		}
	}
	return nil
}

// logged is an event in the log.
type logged struct {
	event.Event
	restored bool
}

func (v *view) log(ctx context.Context) (map[string]logged, error) {
	there := map[string]logged{}
	pages := dynamodb.NewScanPaginator(v.tables, &dynamodb.ScanInput{TableName: aws.String(eventsTable), ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			id, ok1 := item["logid"].(*types.AttributeValueMemberS)
			document, ok2 := item["event"].(*types.AttributeValueMemberB)
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("the log has the item %v", item)
			}
			e, err := event.Decode(document.Value)
			if err != nil {
				return nil, fmt.Errorf("%w: %s", err, document.Value)
			}
			_, restored := item["restored"]
			there[id.Value] = logged{e, restored}
		}
	}
	return there, nil
}

// index returns how many items of the index each event has.
func (v *view) index(ctx context.Context) (map[string]int, error) {
	found := map[string]int{}
	pages := dynamodb.NewScanPaginator(v.tables, &dynamodb.ScanInput{TableName: aws.String(indexTable), ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			sort, ok := item["s"].(*types.AttributeValueMemberS)
			if !ok {
				return nil, fmt.Errorf("the index has the item %v", item)
			}
			_, id, _ := strings.Cut(sort.Value, "#")
			found[id]++
		}
	}
	return found, nil
}

// handledEvents returns the logids of the events that audit-publish has handled.
func handledEvents() (map[string]bool, error) {
	text, err := os.ReadFile(stack.file("handled"))
	if err != nil {
		return nil, err
	}
	handled := map[string]bool{}
	for id := range strings.Lines(string(text)) {
		handled[strings.TrimSpace(id)] = true
	}
	return handled, nil
}

// nothingDiscarded returns an error if a consumer's batch was given up.
func (v *view) nothingDiscarded(ctx context.Context) error {
	buckets, err := v.objects.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil {
		return err
	}
	for _, b := range buckets.Buckets {
		if !strings.HasPrefix(*b.Name, stackName+"-failures") {
			continue
		}
		objects, err := v.objects.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b.Name})
		if err != nil {
			return err
		}
		if n := len(objects.Contents); n > 0 {
			v.t.Errorf("%d batches were given up: %s", n, *objects.Contents[0].Key)
		}
		return nil
	}
	return errors.New("there is no bucket for failures")
}

// exec runs a statement as the owner of the tables.
func (v *view) exec(db *sqlx.DB, statement string, args ...any) {
	v.t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		v.t.Fatalf("%s: %v", statement, err)
	}
}
