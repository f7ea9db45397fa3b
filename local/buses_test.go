package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func (l *laptop) config() aws.Config {
	return aws.Config{Region: "ap-northeast-2", BaseEndpoint: aws.String(l.run.AWS), Credentials: credentials.NewStaticCredentialsProvider("laptop", "laptop", "")}
}

func (l *laptop) buses() *eventbridge.Client {
	return eventbridge.NewFromConfig(l.config(), func(o *eventbridge.Options) { o.RetryMaxAttempts = 1 })
}

// putNumber puts an event with a number on the bus, and returns an error if it is not sure
// that it was taken.
func putNumber(client *eventbridge.Client, n int64, note string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	detail, err := json.Marshal(map[string]any{"n": n, "note": note})
	if err != nil {
		return err
	}
	out, err := client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: aws.String("small"), Source: aws.String("/test"), DetailType: aws.String("number"), Detail: aws.String(string(detail)),
	}}})
	if err == nil && out.FailedEntryCount != 0 {
		err = fmt.Errorf("%s", aws.ToString(out.Entries[0].ErrorMessage))
	}
	return err
}

// drain receives what a queue has, and calls got with each message, until until returns
// true.
func (l *laptop) drain(t *testing.T, queue string, got func(body string), until func() bool) {
	t.Helper()
	client := sqs.NewFromConfig(l.config())
	url := aws.String(l.run.AWS + "/000000000000/" + queue)
	for end := time.Now().Add(2 * time.Minute); !until(); {
		if time.Now().After(end) {
			t.Fatalf("the queue %s lacks messages: %s", queue, l.out)
		}
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 1, MaxNumberOfMessages: 10, VisibilityTimeout: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Messages {
			got(*m.Body)
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestEventsOutliveTheLaptopCloud ends the laptop cloud in the middle of a load, by Ctrl-C
// and by kill -9: what PutEvents has taken comes to the queue, to the function and into the
// archive.
func TestEventsOutliveTheLaptopCloud(t *testing.T) {
	dir, folder := projectWith(t, "buses")
	began := time.Now().Add(-time.Second)
	var n int64
	taken := map[int64]bool{}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGKILL} {
		l := begin(t, dir)
		l.ready(t)
		var count atomic.Int64
		load := make(chan struct{})
		go func() {
			defer close(load)
			client := l.buses()
			for n++; putNumber(client, n, "") == nil; n++ {
				taken[n] = true
				count.Add(1)
			}
		}()
		eventually(t, "a load", func() error {
			if count.Load() < 200 {
				return fmt.Errorf("%d events", count.Load())
			}
			return nil
		})
		if err := l.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		l.ended(t)
		<-load
	}
	l := begin(t, dir)
	l.ready(t)
	missing := map[int64]bool{}
	for n := range taken {
		missing[n] = true
	}
	l.drain(t, "small-mail", func(body string) {
		var in struct{ N int64 }
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		delete(missing, in.N)
	}, func() bool { return len(missing) == 0 })
	eventually(t, "all events come to the function", func() error {
		text, _ := os.ReadFile(filepath.Join(folder, "got")) // the first event makes it
		got := map[string]bool{}
		for n := range strings.FieldsSeq(string(text)) {
			got[n] = true
		}
		for n := range taken {
			if !got[fmt.Sprint(n)] {
				return fmt.Errorf("number %d has not come; %s", n, l.out)
			}
		}
		return nil
	})
	// A replay for one rule, whose events the archive has from all runs.
	client := l.buses()
	rules, err := client.ListRules(t.Context(), &eventbridge.ListRulesInput{EventBusName: aws.String("small"), NamePrefix: aws.String("small-MailRule")})
	if err != nil || len(rules.Rules) != 1 {
		t.Fatal(rules, err)
	}
	archive, err := client.DescribeArchive(t.Context(), &eventbridge.DescribeArchiveInput{ArchiveName: aws.String("small")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.StartReplay(t.Context(), &eventbridge.StartReplayInput{
		ReplayName: aws.String("mail-again"), EventSourceArn: archive.ArchiveArn, EventStartTime: &began, EventEndTime: aws.Time(time.Now()),
		Destination: &types.ReplayDestination{Arn: archive.EventSourceArn, FilterArns: []string{*rules.Rules[0].Arn}},
	}); err != nil {
		t.Fatal(err)
	}
	for n := range taken {
		missing[n] = true
	}
	l.drain(t, "small-mail", func(body string) {
		var in struct {
			N      int64
			Replay struct {
				Name string `json:"replay-name"`
			}
		}
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if in.Replay.Name == "mail-again" {
			delete(missing, in.N)
		}
	}, func() bool { return len(missing) == 0 })

	// A detail that breaks the template goes to the dead-letter queue, and the engine's end
	// in between loses no event that was not in a queue yet.
	if err := putNumber(client, 1, `a "quote"`); err != nil {
		t.Fatal(err)
	}
	found := false
	l.drain(t, "small-failed", func(body string) { found = strings.Contains(body, `a \"quote\"`) }, func() bool { return found })
	before := l.run.PIDs["engine"]
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := putNumber(client, 1<<40, ""); err != nil {
		t.Fatal(err)
	}
	found = false
	l.drain(t, "small-mail", func(body string) { found = found || strings.Contains(body, fmt.Sprint(int64(1<<40))) }, func() bool { return found })
}
