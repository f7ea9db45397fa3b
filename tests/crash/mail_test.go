package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"plaudit/local/ministack/enginetest"
)

// maxTold is how many adjustments a load makes.
const maxTold = 40

// mail is a message of the laptop's inbox.
type mail struct{ Subject, Text string }

// inbox returns the mails to the load's account.
func (l *load) inbox() (mails []mail, err error) {
	resp, err := client.Get(stack.Info.Inbox + "/messages?to=" + url.QueryEscape(l.email))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the inbox answered %s", resp.Status)
	}
	return mails, json.NewDecoder(resp.Body).Decode(&mails)
}

var verifyLink = regexp.MustCompile(`/verify\?token=([A-Za-z0-9_-]{43})`)

// reads verifies the address of the load's account, and makes a board on which it is a
// player.
func (l *load) reads() {
	l.t.Helper()
	token := ""
	if err := wait(func() error {
		mails, err := l.inbox()
		for _, m := range mails {
			if match := verifyLink.FindStringSubmatch(m.Text); match != nil {
				token = match[1]
			}
		}
		if err == nil && token == "" {
			err = errors.New("no link has come to verify the address")
		}
		return err
	}); err != nil {
		l.t.Fatal(err)
	}
	l.must("PUT", "/v1/email-verifications/"+token, "", map[string]any{}, nil, 200, 404) // 404 if the answer of the first try was lost
	board := l.prefix + "-told"
	l.must("POST", "/v1/boards", l.token, map[string]any{"id": board, "title": "Told"}, nil, 201, 409)
	l.must("POST", "/v1/boards/"+board+"/entries", l.token, map[string]any{"player": "p", "points": 1}, map[string]string{"Idempotency-Key": board}, 201, 200)
	l.must("PATCH", "/v1/boards/"+board+"/players/p", l.token, map[string]any{"user": l.user}, nil, 200)
	l.must("PUT", "/v1/players/me/links/"+board+"/p", l.userTok, map[string]any{}, nil, 200)
}

// tell makes two changes of which the account's user is told: one of their points, and one
// of the account.
func (l *load) tell(n int) {
	note := fmt.Sprintf("correction %d of %s.", n, l.prefix)
	l.must("POST", "/v1/boards/"+l.prefix+"-told/entries", l.token, map[string]any{"player": "p", "kind": "adjustment", "points": 1, "note": note},
		map[string]string{"Idempotency-Key": fmt.Sprint("told-", n)}, 201, 200)
	l.note("adjustments", func(w *wants) { w.told = append(w.told, note) })
	l.must("PATCH", "/v1/users/"+l.user, l.token, map[string]any{"role": []string{"organizer", "member"}[n%2]}, nil, 200)
}

// compareMails returns how the mails differ from what the account's user must be told. Of
// each adjustment there is one mail; it is held, for a person to decide, if notify was
// killed while it sent. Of each change of the role there is one at least, and more only of
// those that notify counts as sent again.
func (l *load) compareMails(ctx context.Context, v *view) error {
	mails, err := l.inbox()
	if err != nil {
		return err
	}
	held, err := heldMails(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	holds := 0
	for _, note := range l.wants.told {
		n, isHeld := 0, strings.Contains(held, note)
		for _, m := range mails {
			if strings.Contains(m.Text, note) {
				n++
			}
		}
		if isHeld {
			holds++
		}
		if n > 1 || n == 0 && !isHeld {
			return fmt.Errorf("%d mails report %q, which is held: %t", n, note, isHeld)
		}
	}
	if holds > l.maxHeld {
		return fmt.Errorf("%d mails are held, but at most %d may be", holds, l.maxHeld)
	}
	var changes, roles int
	if err := v.users.GetContext(ctx, &changes, `SELECT count(*) FROM outbox WHERE type = 'plaudit.user.role-changed' AND subject = $1`, "user/"+l.user); err != nil {
		return err
	}
	for _, m := range mails {
		if strings.HasPrefix(m.Subject, "Your role is now") {
			roles++
		}
	}
	again, err := sentAgain()
	if err != nil {
		return err
	}
	if roles < changes || roles > changes+again {
		return fmt.Errorf("%d mails report %d changes of the role, and %d mails were sent again", roles, changes, again)
	}
	return nil
}

// heldMails returns the messages of the dead-letter queue, which stay there.
func heldMails(ctx context.Context) (bodies string, err error) {
	queues := sqs.NewFromConfig(enginetest.InAccount(stack.Info.AWS, "laptop"))
	queue, err := queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(stackName + "-mail-failed")})
	if err != nil {
		return "", err
	}
	seen := map[string]bool{}
	for fresh := true; fresh; {
		fresh = false
		// The next look begins where this one ends, because those that were seen are hidden
		// for a moment.
		page, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 1})
		if err != nil {
			return "", err
		}
		for _, m := range page.Messages {
			if !seen[*m.MessageId] {
				seen[*m.MessageId], fresh = true, true
				bodies += *m.Body + "\n"
			}
		}
	}
	return bodies, nil
}

// sentAgain returns how many mails notify has sent again since the laptop cloud started.
func sentAgain() (int, error) {
	log, err := os.ReadFile(stack.File("laptop.log"))
	n := 0
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"message":"a mail is sent"`) && strings.Contains(line, `"again":true`) {
			n++
		}
	}
	return n, err
}
