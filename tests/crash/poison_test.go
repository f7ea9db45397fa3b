package crash

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/jmoiron/sqlx"
)

// said returns how many lines of a program have a text since the laptop cloud was started.
func (c *checkout) said(t *testing.T, program, text string) (n int) {
	t.Helper()
	for line := range strings.Lines(c.log(t)) {
		if name, _, _ := strings.Cut(line, " {"); strings.TrimPrefix(name, stackName+"-") == program && strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (c *checkout) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(c.File("laptop.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// metric returns the sum of a metric of a function since the laptop cloud was started.
func (c *checkout) metric(t *testing.T, function, name string) (sum int) {
	t.Helper()
	for line := range strings.Lines(c.log(t)) {
		_, after, ok := strings.Cut(line, "{")
		if !ok || !strings.Contains(after, `"`+name+`"`) {
			continue
		}
		var metrics map[string]any
		if json.Unmarshal([]byte("{"+after), &metrics) != nil || metrics["Function"] != function {
			continue
		}
		n, _ := metrics[name].(float64)
		sum += int(n)
	}
	return sum
}

// A row that can never be written is set aside with the reason, and blocks nobody.
func TestPoisonRows(t *testing.T) {
	c := running(t)
	v := look(t)
	l := c.begin(t)
	l.some(20)
	const traceParent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	insert := func(db *sqlx.DB, subject, data, extensions string) {
		v.exec(db, `
			INSERT INTO outbox (kind, type, subject, actor, data, extensions, recordedtime, traceparent)
			VALUES ('event', 'plaudit.player.changed', $1, 'user/poison', $2, nullif($3, ''), now(), $4)`, subject, data, extensions, traceParent)
	}
	large := fmt.Sprintf(`{"a": %q}`, strings.Repeat("a", 400_000))
	for _, d := range []struct {
		program string
		db      *sqlx.DB
	}{{"outbox-relay", v.scores}, {"users", v.users}} {
		defer d.db.Exec(`DELETE FROM outbox_failed`) // also if the test fails
		before := c.said(t, d.program, "a message of the outbox can never be written")
		for _, row := range [][2]string{{large, ""}, {"{", ""}, {"{}", "[]"}, {"{}", `{"n": 1.5}`}} {
			insert(d.db, "poison/1", row[0], row[1])
		}
		l.some(20)
		eventually(t, func() error {
			var reasons []string
			if err := d.db.Select(&reasons, `SELECT reason FROM outbox_failed`); err != nil {
				return err
			}
			if len(reasons) != 4 || strings.Contains(strings.Join(reasons, "\n")+"\n", "\n\n") {
				return fmt.Errorf("%s: the rows that were set aside have the reasons %q", d.program, reasons)
			}
			// The metric follows when the relay's run ends.
			if n := c.said(t, d.program, "a message of the outbox can never be written") - before; n != 4 {
				return fmt.Errorf("%s: %d rows are named", d.program, n)
			}
			return nil
		})
	}
	l.stop()
	out, err := plaudit("audit", "check")
	if err == nil || !strings.Contains(out, "it could not be written") {
		t.Errorf("plaudit audit check: %v\n%s", err, out)
	}
	v.exec(v.scores, `DELETE FROM outbox_failed`)
	v.exec(v.users, `DELETE FROM outbox_failed`)
	l.complete()
	check(t)
}

// So is a record of a stream that is not ours.
func TestPoisonRecords(t *testing.T) {
	c := running(t)
	v := look(t)
	l := c.begin(t)
	l.some(20)
	publish, sync := c.metric(t, "audit-publish", "SkippedRecords"), c.metric(t, "player-sync", "SkippedRecords")
	poison := &types.AttributeValueMemberS{Value: "poison"}
	tables := map[string]string{eventsTable: "logid", stackName + "-profiles": "id"}
	for table, key := range tables {
		item := map[string]types.AttributeValue{key: poison, "enc": &types.AttributeValueMemberN{Value: "7"}, "riddle": &types.AttributeValueMemberBOOL{Value: true}}
		if _, err := v.tables.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: item}); err != nil {
			t.Fatal(err)
		}
	}
	l.some(20)
	eventually(t, func() error {
		if n, m := c.metric(t, "audit-publish", "SkippedRecords")-publish, c.metric(t, "player-sync", "SkippedRecords")-sync; n < 1 || m < 1 {
			return fmt.Errorf("audit-publish has skipped %d records, player-sync %d", n, m)
		}
		return nil
	})
	for table, key := range tables {
		if _, err := v.tables.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(table), Key: map[string]types.AttributeValue{key: poison}}); err != nil {
			t.Fatal(err)
		}
	}
	l.stop().complete()
	check(t)
}
