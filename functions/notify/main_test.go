package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/shared/boot/boottest"
	"plaudit/shared/crash"
	"plaudit/shared/notify"
)

// env returns the variables of the function, over one endpoint as on the laptop.
func (k *kit) env() map[string]string {
	k.t.Helper()
	const secret = "arn:aws:secretsmanager:ap-northeast-2:000000000000:secret:notify-key"
	proxy := func(to string) http.Handler {
		target, err := url.Parse(to)
		if err != nil {
			k.t.Fatal(err)
		}
		return httputil.NewSingleHostReverseProxy(target)
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/email/", proxy(k.ses.URL))
	engine := proxy(*k.stack.Config.BaseEndpoint)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
			engine.ServeHTTP(w, r)
			return
		}
		var in struct{ SecretId string }
		json.NewDecoder(r.Body).Decode(&in)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if in.SecretId != secret {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type": "ResourceNotFoundException", "message": "there is no such secret"}`)
			return
		}
		json.NewEncoder(w).Encode(object{"ARN": secret, "Name": "notify-key", "SecretString": k.api.Key})
	})
	endpoint := httptest.NewServer(mux)
	k.t.Cleanup(endpoint.Close)
	env := map[string]string{}
	for _, variable := range k.stack.Env() {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	maps.Copy(env, map[string]string{
		"AWS_ENDPOINT_URL": endpoint.URL, "QUEUE_URL": k.queue, "FAILED_QUEUE_URL": k.fails, "API_URL": k.api.URL, "NOTIFY_KEY_SECRET": secret,
		"MAIL_SENDER": "Plaudit <scores@example.com>", "CONFIGURATION_SET": "plaudit-mail", "ARCHIVE_DAYS": "45", "OUTBOX_DAYS": "45", "MAILS_PER_SECOND": "100", "MAILS_PER_HOUR": "20",
	})
	return env
}

func list(env map[string]string, more ...string) []string {
	for name, value := range env {
		more = append(more, name+"="+value)
	}
	return more
}

// batch is an event of Lambda with these messages.
func batch(t *testing.T, messages ...notify.Message) string {
	t.Helper()
	var records []object
	for _, m := range messages {
		attributes := object{}
		if m.Redriven {
			attributes["redriven"] = object{"stringValue": "1", "dataType": "String"}
		}
		records = append(records, object{
			"messageId": m.ID, "receiptHandle": "x", "body": m.Body, "attributes": object{"ApproximateReceiveCount": fmt.Sprint(m.Received)},
			"messageAttributes": attributes, "eventSource": "aws:sqs",
		})
	}
	text, err := json.Marshal(object{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The function as it is built.
func TestABatchIsHandled(t *testing.T) {
	k := start(t)
	env := k.env()
	runtime := boottest.StartRuntime(t)
	p := boottest.Run(t, boottest.Build(t, "."), list(env, runtime.Env)...)
	told, broken, failing := k.message(k.body("told", k.adjusted(nil))), k.message("{"), k.message(k.body("told", k.adjusted(object{"board": "cup", "player": "bib-9"})))
	failing.Body = strings.Replace(failing.Body, reader, person(40), 1)
	k.api.User(person(40), object{"email": ""})
	runtime.Send(batch(t, failing, broken, told))
	if a := runtime.Answer(); a.Failed || a.Body != `{"batchItemFailures":[{"itemIdentifier":"`+failing.ID+`"}]}` {
		t.Fatalf("answered %+v", a)
	}
	k.mails(1)
	k.held(1)
	line := p.Line("request")
	for name, want := range map[string]any{"Records": 3.0, "RecordFailures": 1.0, "Sent": 1.0, "Held": 1.0} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	sent := p.Line("a mail is sent")
	if sent["user"] != reader || sent["trace_id"] != "00000000000000000000000000000001" {
		t.Errorf("the line is %v", sent)
	}
	for _, secret := range []string{"@", k.api.Key, "Kim 11", "Ada", "Minji", "unsubscribe/", "token-"} {
		if strings.Contains(p.Output(), secret) {
			t.Errorf("the log has %q:\n%s", secret, p.Output())
		}
	}
}

func TestAWrongConfigurationFailsTheStart(t *testing.T) {
	k := start(t)
	env := k.env()
	bin := boottest.Build(t, ".")
	for name, c := range map[string]struct{ value, want string }{
		"MAILS_TABLE":       {"other", "the table other does not exist"},
		"QUEUE_URL":         {k.queue + "-other", "the queue of QUEUE_URL does not exist"},
		"FAILED_QUEUE_URL":  {k.fails + "-other", "the queue of FAILED_QUEUE_URL does not exist"},
		"NOTIFY_KEY_SECRET": {"other", "read the secret of NOTIFY_KEY_SECRET"},
		"API_URL":           {"http://scores.example.com", "must begin with https://"},
		"MAIL_SENDER":       {"Plaudit", "the sender must be an address"},
		"ARCHIVE_DAYS":      {"0", "ARCHIVE_DAYS and OUTBOX_DAYS must be at least 1"},
		"MAILS_PER_SECOND":  {"0", "MAILS_PER_SECOND must be greater than 0"},
		"MAILS_PER_HOUR":    {"0", "MAILS_PER_HOUR must be at least 1"},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := maps.Clone(env)
			wrong[name] = c.value
			runtime := boottest.StartRuntime(t)
			boottest.Run(t, bin, list(wrong, runtime.Env)...)
			if reason := runtime.InitError(); !strings.Contains(reason, c.want) || strings.Contains(reason, k.api.Key) {
				t.Errorf("the reason is %s", reason)
			}
		})
	}
}

// crashing builds the function so that it kills itself at the point that choose names.
func crashing(t *testing.T) (bin string, choose func(crash.Point)) {
	t.Helper()
	folder := t.TempDir()
	code, err := os.ReadFile("../../tests/crash/testdata/crash.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs("../../shared/crash/crash.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(object{"Replace": object{original: filepath.Join(folder, "crash.go")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"crash.go": strings.Replace(string(code), "FOLDER", folder, 1), "overlay.json": string(overlay),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+filepath.Join(folder, "overlay.json")))
	return boottest.Build(t, "."), func(point crash.Point) {
		if err := os.WriteFile(filepath.Join(folder, "choice"), []byte(string(point)+" 1 program"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// leaseEnds ends the leases of all claims.
func (k *kit) leaseEnds() {
	k.t.Helper()
	client := dynamodb.NewFromConfig(k.stack.Config)
	out, err := client.Scan(k.t.Context(), &dynamodb.ScanInput{TableName: &k.stack.Mails})
	if err != nil {
		k.t.Fatal(err)
	}
	for _, item := range out.Items {
		if item["until"] == nil {
			continue
		}
		item["until"] = &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().Add(-time.Second).UnixMilli())}
		if _, err := client.PutItem(k.t.Context(), &dynamodb.PutItemInput{TableName: &k.stack.Mails, Item: item}); err != nil {
			k.t.Fatal(err)
		}
	}
}

// The function dies between claim and send, or between send and record. Nobody can tell
// which: security mail and links are sent again, other mail waits for a person. Every
// mail that must go out does.
func TestAfterACrash(t *testing.T) {
	bin, choose := crashing(t)
	for _, point := range []crash.Point{crash.BeforeSend, crash.AfterSend} {
		for _, rule := range []string{"told", "security", "links"} {
			t.Run(string(point)+" of "+rule, func(t *testing.T) {
				k := start(t)
				k.api.Due(reader, "verify")
				env := k.env()
				m := k.message(k.body("told", k.adjusted(nil)))
				switch rule {
				case "security":
					m.Body = k.body(rule, security("session.reused", object{}))
				case "links":
					m.Body = k.body(rule, security("user.verification-requested", object{}))
				}
				next := k.message(k.body("told", k.adjusted(nil)))
				choose(point)

				runtime := boottest.StartRuntime(t)
				p := boottest.Run(t, bin, list(env, runtime.Env)...)
				runtime.Send(batch(t, m, next))
				p.Wait()
				sent := len(k.ses.Mails())
				if want := map[crash.Point]int{crash.BeforeSend: 0, crash.AfterSend: 1}[point]; sent != want {
					t.Fatalf("%d mails were sent before the crash, want %d", sent, want)
				}

				// The whole batch comes again, once at once and then after the lease.
				runtime = boottest.StartRuntime(t)
				p = boottest.Run(t, bin, list(env, runtime.Env)...)
				m.Received, next.Received = 2, 2
				runtime.Send(batch(t, m, next))
				if a := runtime.Answer(); a.Failed || a.Body != `{"batchItemFailures":[{"itemIdentifier":"`+m.ID+`"}]}` {
					t.Fatalf("answered %+v", a)
				}
				k.mails(1) // the next
				k.leaseEnds()
				m.Received = 3
				runtime.Send(batch(t, m))
				if a := runtime.Answer(); a.Failed || a.Body != `{"batchItemFailures":[]}` {
					t.Fatalf("answered %+v", a)
				}
				if rule == "told" {
					k.mails(0)
					held, _ := k.held(1)
					runtime.Send(batch(t, held...))
					if a := runtime.Answer(); a.Failed || a.Body != `{"batchItemFailures":[]}` {
						t.Fatalf("answered %+v", a)
					}
				}
				k.mails(1)
				k.held(0)
				again := slices.ContainsFunc(p.Lines("a mail is sent"), func(line map[string]any) bool { return line["again"] == true })
				if !again {
					t.Errorf("the second time is not counted:\n%s", p.Output())
				}
			})
		}
	}
}
