package part_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"plaudit/local/part"
	"plaudit/local/part/parttest"
	"plaudit/local/template"
)

// queues is a part that implements every interface for reading.
type queues struct {
	calls []string
	fails bool
}

func (q *queues) Types() []string { return []string{"AWS::SQS::Queue"} }

func (q *queues) Prepare(r template.Resource) error {
	q.calls = append(q.calls, "prepare "+r.ID)
	return nil
}

func (q *queues) Values(r template.Resource) map[string]any { return q.ValuesOn("127.0.0.1", r) }

func (q *queues) ValuesOn(host string, r template.Resource) map[string]any {
	return map[string]any{"Ref": "http://" + host + "/" + r.ID}
}

func (q *queues) Read(r template.Resource) error {
	name, _ := r.Properties["QueueName"].(string)
	q.calls = append(q.calls, "read "+r.ID+" "+name)
	if q.fails {
		return errors.New(r.ID + " is wrong")
	}
	return nil
}

func (q *queues) Link(stack *template.Stack) error {
	q.calls = append(q.calls, "link")
	if q.fails {
		return errors.New("the link is wrong")
	}
	return nil
}

func (q *queues) Start(context.Context) error { return nil }
func (q *queues) API() (string, http.Handler) { return "", nil }
func (q *queues) Stop()                       {}

const twoQueues = `
  First: { Type: AWS::SQS::Queue }
  Second: { Type: AWS::SQS::Queue, Properties: { QueueName: !Ref First } }
`

func TestReadPreparesReadsAndLinks(t *testing.T) {
	q := &queues{}
	if _, err := parttest.Read(t, part.List{q}, twoQueues); err != nil {
		t.Fatal(err)
	}
	want := "prepare First, prepare Second, read First , read Second http://127.0.0.1/First, link"
	if got := strings.Join(q.calls, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadReportsEverythingAtOnce(t *testing.T) {
	_, err := parttest.Read(t, part.List{&queues{fails: true}}, twoQueues)
	if err == nil || err.Error() != "First is wrong\nSecond is wrong\nthe link is wrong" {
		t.Errorf("error %v", err)
	}
	_, err = parttest.Read(t, nil, twoQueues)
	if err == nil || strings.Count(err.Error(), "does not support the type AWS::SQS::Queue") != 2 {
		t.Errorf("error %v", err)
	}
}

func TestAttributeThatIsNotKnown(t *testing.T) {
	_, err := parttest.Read(t, part.List{&queues{}}, twoQueues+"  Third: { Type: AWS::SQS::Queue, Properties: { QueueName: !GetAtt First.Arn } }\n")
	if err == nil || !strings.Contains(err.Error(), "the laptop cloud knows Ref of AWS::SQS::Queue, not Arn") {
		t.Errorf("error %v", err)
	}
}
