package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"plaudit/local/ministack/enginetest"
)

// streamsProject is testdata/small with a table and a function that its stream
// invokes.
func streamsProject(t *testing.T) (dir, folder string) {
	t.Helper()
	return projectWith(t, "streams")
}

// projectWith is testdata/small with the resources and functions of another folder in
// testdata. Its functions write into folder.
func projectWith(t *testing.T, testdata string) (dir, folder string) {
	t.Helper()
	dir, folder = project(t), t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "functions"), os.DirFS(filepath.Join("testdata", testdata, "functions"))); err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile(filepath.Join("testdata", testdata, "resources.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "template.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	resources := strings.ReplaceAll(string(more), "%FOLDER%", folder)
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "Resources:\n", "Resources:\n"+resources, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".local"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(enginetest.Folder(t), filepath.Join(dir, ".local", "ministack")); err != nil {
		t.Fatal(err)
	}
	return dir, folder
}

func (l *laptop) tables() *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: "ap-northeast-2", BaseEndpoint: aws.String(l.run.AWS), Credentials: credentials.NewStaticCredentialsProvider("laptop", "laptop", ""),
		RetryMaxAttempts: 1,
	})
}

// addNumber puts an item with a number, and returns an error if it is not sure that
// the item is there.
func addNumber(client *dynamodb.Client, n int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String("small-log"), Item: map[string]types.AttributeValue{"n": &types.AttributeValueMemberS{Value: fmt.Sprint(n)}},
	})
	return err
}

// TestStreamRecordsOutliveTheLaptopCloud ends the laptop cloud in the middle of a
// load while the function cannot take anything: by Ctrl-C, and by kill -9.
func TestStreamRecordsOutliveTheLaptopCloud(t *testing.T) {
	dir, folder := streamsProject(t)
	fails := filepath.Join(folder, "fail")
	got := func() map[string]int {
		text, _ := os.ReadFile(filepath.Join(folder, "got")) // the first record makes it
		count := map[string]int{}
		for n := range strings.FieldsSeq(string(text)) {
			count[n]++
		}
		return count
	}
	var n, known int64
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGKILL} {
		if err := os.WriteFile(fails, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l := begin(t, dir)
		l.ready(t)
		var added atomic.Int64
		var ending atomic.Bool
		load := make(chan struct{})
		go func() {
			defer close(load)
			client := l.tables()
			for {
				next := n + added.Load() + 1
				switch err := addNumber(client, next); {
				case err == nil:
					added.Add(1)
				case ending.Load():
					n = next // it may be there or not
					return
				}
			}
		}()
		eventually(t, "a load", func() error {
			if added.Load() < 50 {
				return fmt.Errorf("%d items", added.Load())
			}
			return nil
		})
		ending.Store(true)
		if err := l.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		l.ended(t)
		<-load
		first := known + 1
		known = n - 1

		if err := os.Remove(fails); err != nil {
			t.Fatal(err)
		}
		l = begin(t, dir)
		l.ready(t)
		eventually(t, fmt.Sprintf("items %d to %d, after %v", first, known, signal), func() error {
			count := got()
			for i := first; i <= known; i++ {
				if count[fmt.Sprint(i)] == 0 {
					return fmt.Errorf("item %d has not arrived; %s", i, l.out)
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
		known = n // the next load begins behind the item that may be there
	}
	for item, times := range got() {
		if times > 1 {
			t.Errorf("item %s came %d times", item, times)
		}
	}
}

// TestStreamRecordsAfterAKillOfTheEngine kills the engine alone, whose table an earlier
// end has saved: the stream and its shard stay the same.
func TestStreamRecordsAfterAKillOfTheEngine(t *testing.T) {
	dir, folder := streamsProject(t)
	l := begin(t, dir)
	l.ready(t)
	if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := l.ended(t); code != 0 {
		t.Fatalf("exit code %d: %s", code, l.out)
	}
	l = begin(t, dir)
	l.ready(t)
	client := l.tables()
	add := func(from, to int64) {
		t.Helper()
		want := map[string]bool{}
		for n := from; n <= to; n++ {
			if err := addNumber(client, n); err != nil {
				t.Fatal(err)
			}
			want[fmt.Sprint(n)] = true
		}
		eventually(t, fmt.Sprintf("items %d to %d", from, to), func() error {
			text, _ := os.ReadFile(filepath.Join(folder, "got")) // the first record makes it
			missing := maps.Clone(want)
			for n := range strings.FieldsSeq(string(text)) {
				delete(missing, n)
			}
			if len(missing) > 0 {
				return fmt.Errorf("%v have not arrived; %s", missing, l.out)
			}
			return nil
		})
	}
	add(1, 3)
	before := l.run.PIDs["engine"]
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another engine", func() error {
		if l.read(t); l.run.PIDs["engine"] == 0 || l.run.PIDs["engine"] == before {
			return io.ErrNoProgress
		}
		return nil
	})
	add(4, 9)
	if err := l.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := l.ended(t); code != 0 {
		t.Errorf("exit code %d: %s", code, l.out)
	}
}
