package eventbridge

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// The event of EventBridge's documentation of transformers.
const ec2Event = `{"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","account":"123456789012","time":"2015-11-11T21:29:54Z","region":"us-east-1","resources":["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],"detail":{"instance-id":"i-0123456789","state":"RUNNING","count":2,"big":9007199254740993,"on":true,"none":null,"say":"a \"b\"","tags":{"k":"v"},"list":[{"n":1},{"n":2}]}}`

var (
	testRule = &rule{name: "told", arn: "arn:aws:events:us-east-1:123456789012:rule/bus/told"}
	received = time.Date(2026, 11, 28, 10, 0, 0, 5, time.FixedZone("", 9*3600))
)

func TestInputTransformers(t *testing.T) {
	paths := map[string]string{
		"instance": "$.detail.instance-id", "state": "$.detail.state", "count": "$.detail.count", "big": "$.detail.big", "on": "$.detail.on", "none": "$.detail.none",
		"say": "$.detail.say", "tags": "$.detail.tags", "first": "$.resources[0]", "n": "$.detail.list[1].n", "every": "$.detail.list[*].n", "missing": "$.detail.missing", "out": "$.resources[1]", "all": "$",
	}
	for _, c := range []struct{ name, template, want string }{
		{"text", `<instance> is in state <state>`, `i-0123456789 is in state RUNNING`},
		{"text in quotes", `"<instance> is in state <state>"`, `"i-0123456789 is in state RUNNING"`},
		{"values without quotes", `{"instance":<instance>,"count":<count>,"on":<on>,"none":<none>,"tags":<tags>}`, `{"instance":"i-0123456789","count":2,"on":true,"none":null,"tags":{"k":"v"}}`},
		{"values in quotes", `{"a":"<instance> <count> <on>","b":[9,<state>]}`, `{"a":"i-0123456789 2 true","b":[9,"RUNNING"]}`},
		{"quotes in text are escaped", `{"say":<say>}`, `{"say":"a \"b\""}`},
		{"escaped quotes around a variable", `{"a":"state \"<state>\" <count>"}`, `{"a":"state \"RUNNING\" 2"}`},
		{"an object in quotes loses its own", `{"a":"<tags>"}`, `{"a":"{k:v}"}`},
		{"an object in text", `tags: <tags>`, `tags: {"k":"v"}`},
		{"items of lists", `[<first>,<n>,<every>]`, `["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111",2,[1,2]]`},
		{"what is missing is null in JSON", `{"a":<missing>,"b":<out>,"c":"x<missing>y"}`, `{"a":null,"b":null,"c":"xy"}`},
		{"and empty in text", `a <missing> b`, `a  b`},
		{"large numbers stay exact", `{"a":<big>}`, `{"a":9007199254740993}`},
		{"the rule", `{"arn":<aws.events.rule-arn>,"name":"rule <aws.events.rule-name>"}`, `{"arn":"arn:aws:events:us-east-1:123456789012:rule/bus/told","name":"rule told"}`},
		{"the ingestion", `{"at":<aws.events.event.ingestion-time>}`, `{"at":"2026-11-28T01:00:00Z"}`},
		{"the whole event as it is", `{"event":<aws.events.event.json>}`, `{"event":` + ec2Event + `}`},
		{"less-than signs that are no variable", `a < b > c <state>`, `a < b > c RUNNING`},
	} {
		t.Run(c.name, func(t *testing.T) {
			transformer, wrong := parseTransformer(paths, c.template)
			if len(wrong) > 0 {
				t.Fatal(wrong)
			}
			got, err := input{transformer: transformer}.of([]byte(ec2Event), testRule, received)
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
	bare, wrong := parseTransformer(nil, `{"event":<aws.events.event>}`)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	got, err := input{transformer: bare}.of([]byte(ec2Event), testRule, received)
	if err != nil || strings.Contains(string(got), "instance-id") || !strings.Contains(string(got), `"source":"aws.ec2"`) {
		t.Errorf("an event without detail: %s, %v", got, err)
	}
	breaks, wrong := parseTransformer(map[string]string{"say": "$.detail.say"}, `{"a":"<say>"}`)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	if _, err := (input{transformer: breaks}).of([]byte(ec2Event), testRule, received); !errors.Is(err, errInvalidJSON) {
		t.Errorf("text that ends a text: %v", err)
	}
}

func TestInputPaths(t *testing.T) {
	for path, want := range map[string]string{
		"$": ec2Event, "$.detail.tags": `{"k":"v"}`, "$.detail.list[1]": `{"n":2}`, "$.detail.count": "2", "$.detail.state": `"RUNNING"`, "$.detail.list.*": `[{"n":1},{"n":2}]`,
		"$.detail.missing": "", "$.resources[7]": "", "$.detail.state.x": "",
	} {
		p, err := parsePath(path)
		if err != nil {
			t.Fatal(path, err)
		}
		got, err := input{path: p}.of([]byte(ec2Event), testRule, received)
		if path == "$" {
			want = string(got) // objects' members are in another order
		}
		if (want == "") != (err != nil) || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", path, got, err, want)
		}
	}
}

func TestWrongInputs(t *testing.T) {
	long := map[string]string{}
	for i := range 101 {
		long[strings.Repeat("x", i+1)] = "$"
	}
	for _, c := range []struct {
		name, template, want string
		paths                map[string]string
	}{
		{"no template", "", "InputTemplate", nil},
		{"a long template", strings.Repeat("x", 8193), "InputTemplate", nil},
		{"an unknown variable", `{"a":<b>}`, "InputTemplate", nil},
		{"a template that is no JSON", `{"a":}`, "InputTemplate", nil},
		{"a path without $", `x`, "InputPathsMap.a", map[string]string{"a": "detail"}},
		{"a path with a filter", `x`, "InputPathsMap.a", map[string]string{"a": "$.detail[?(@.x)]"}},
		{"a path with brackets and quotes", `x`, "InputPathsMap.a", map[string]string{"a": "$['detail']"}},
		{"a reserved name", `x`, "InputPathsMap.AWS.x", map[string]string{"AWS.x": "$"}},
		{"a name with a space", `x`, "InputPathsMap.a b", map[string]string{"a b": "$"}},
		{"too many variables", `x`, "InputPathsMap", long},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, wrong := parseTransformer(c.paths, c.template); len(wrong) == 0 || wrong[0].name != c.want {
				t.Errorf("%v, want %s", wrong, c.want)
			}
		})
	}
}
