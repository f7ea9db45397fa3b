package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// sendNumber sends a message with a number, and returns an error if it is not sure that
// it is in the queue.
func sendNumber(client *sqs.Client, queue string, n int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String(fmt.Sprint(n))})
	return err
}

// TestMessagesOutliveTheLaptopCloud ends the laptop cloud in the middle of a load while
// the function cannot take anything: by Ctrl-C, and by kill -9.
func TestMessagesOutliveTheLaptopCloud(t *testing.T) {
	dir, folder := projectWith(t, "queues")
	fails := filepath.Join(folder, "fail")
	var n int64
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		if err := os.WriteFile(fails, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l := begin(t, dir)
		l.ready(t)
		first := n + 1
		var sent atomic.Int64
		var ending atomic.Bool
		load := make(chan struct{})
		go func() {
			defer close(load)
			client := sqs.NewFromConfig(l.aws(), func(o *sqs.Options) { o.RetryMaxAttempts = 1 })
			for {
				next := first + sent.Load()
				switch err := sendNumber(client, l.run.AWS+"/000000000000/small-work", next); {
				case err == nil:
					sent.Add(1)
				case ending.Load():
					n = next // it may be there or not
					return
				}
			}
		}()
		eventually(t, "a load that fails", func() error {
			if sent.Load() < 50 || !strings.Contains(l.out.String(), "it was told to fail") {
				return fmt.Errorf("%d messages; %s", sent.Load(), l.out)
			}
			return nil
		})
		ending.Store(true)
		if err := l.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		l.ended(t)
		<-load

		if err := os.Remove(fails); err != nil {
			t.Fatal(err)
		}
		l = begin(t, dir)
		l.ready(t)
		eventually(t, fmt.Sprintf("messages %d to %d, after %v", first, n-1, signal), func() error {
			text, _ := os.ReadFile(filepath.Join(folder, "got")) // the first message makes it
			got := map[string]bool{}
			for one := range strings.FieldsSeq(string(text)) {
				got[one] = true
			}
			for i := first; i < n; i++ {
				if !got[fmt.Sprint(i)] {
					return fmt.Errorf("message %d has not arrived; %s", i, l.out)
				}
			}
			return nil
		})
		if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if code := l.ended(t); code != 0 {
			t.Errorf("exit code %d: %s", code, l.out)
		}
	}
}
