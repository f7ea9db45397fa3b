package main

import (
	"io"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"plaudit/local/ministack/enginetest"
)

const (
	table = `
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub ${AWS::StackName}-things
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      StreamSpecification: { StreamViewType: NEW_IMAGE }
`
	bucket = `
  Files:
    Type: AWS::S3::Bucket
    Properties: { BucketName: !Sub "${AWS::StackName}-files" }
`
	queue = `
  Work:
    Type: AWS::SQS::Queue
    Properties: { QueueName: !Sub "${AWS::StackName}-work" }
`
)

// add adds resources to the project's template.
func add(t *testing.T, dir string, resources ...string) {
	t.Helper()
	path := filepath.Join(dir, "template.yaml")
	text, err := os.ReadFile("testdata/small/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "\nResources:\n", "\nResources:"+strings.Join(resources, ""), 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (l *laptop) put(t *testing.T, id string) {
	t.Helper()
	_, err := dynamodb.NewFromConfig(l.aws()).PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("small-things"), Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}},
	})
	if err != nil {
		t.Fatalf("put %s: %v; %s", id, err, l.out)
	}
}

func (l *laptop) has(t *testing.T, id string) bool {
	t.Helper()
	out, err := dynamodb.NewFromConfig(l.aws()).GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String("small-things"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}},
	})
	if err != nil {
		t.Fatalf("get %s: %v; %s", id, err, l.out)
	}
	return len(out.Item) > 0
}

func (l *laptop) aws() aws.Config { return enginetest.InAccount(l.run.AWS, "laptop") }

func TestEngine(t *testing.T) {
	dir := project(t)
	if err := os.MkdirAll(filepath.Join(dir, ".local"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(enginetest.Folder(t), filepath.Join(dir, ".local", "ministack")); err != nil {
		t.Fatal(err)
	}
	add(t, dir, table, bucket, queue)
	l := begin(t, dir)
	l.ready(t)
	l.put(t, "first")
	files := s3.NewFromConfig(l.aws())
	if _, err := files.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("small-files"), Key: aws.String("a"), Body: strings.NewReader("content")}); err != nil {
		t.Errorf("put an object: %v", err)
	}
	work := sqs.NewFromConfig(l.aws())
	url, err := work.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("small-work")})
	if err != nil || *url.QueueUrl != l.run.AWS+"/000000000000/small-work" {
		t.Errorf("the queue's address: %v, %v", url, err)
	}

	// kill -9 of the engine: its tables come back, empty.
	before := l.run.PIDs["engine"]
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "after kill -9 of the engine", func() error {
		if l.read(t); l.run.PIDs["engine"] == 0 || l.run.PIDs["engine"] == before {
			return io.ErrNoProgress
		}
		return nil
	})
	l.put(t, "second")
	if !strings.Contains(l.out.String(), "the engine runs again") {
		t.Errorf("it does not say that the engine runs again: %s", l.out)
	}

	// kill -9 of the laptop cloud: the guard lets the engine save.
	engine := l.run.PIDs["engine"]
	if err := l.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.ended(t)
	again := begin(t, dir)
	again.ready(t)
	if err := gone(engine); err != nil {
		t.Errorf("after kill -9 of the laptop cloud: %v", err)
	}
	if !again.has(t, "second") {
		t.Errorf("the item is gone after kill -9 of the laptop cloud: %s", again.out)
	}
	engine = again.run.PIDs["engine"]
	if err := again.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := again.ended(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C: %s", code, again.out)
	}
	if err := gone(engine); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}

	// The template changes.
	add(t, dir, table+"      TimeToLiveSpecification: { AttributeName: expires, Enabled: true }\n", bucket)
	changed := begin(t, dir)
	changed.ready(t)
	if !changed.has(t, "second") {
		t.Errorf("the item is gone after Ctrl-C: %s", changed.out)
	}
	ttl, err := dynamodb.NewFromConfig(changed.aws()).DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("small-things")})
	if err != nil || aws.ToString(ttl.TimeToLiveDescription.AttributeName) != "expires" {
		t.Errorf("TTL %+v, %v", ttl, err)
	}
	if err := changed.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	changed.ended(t)
	add(t, dir, strings.NewReplacer("AttributeName: id", "AttributeName: key").Replace(table))
	wrong := begin(t, dir)
	if code := wrong.ended(t); code != 1 || !strings.Contains(wrong.out.String(), "A key cannot change") {
		t.Errorf("another key: exit code %d: %s", code, wrong.out)
	}
}

func TestAnotherEngine(t *testing.T) {
	dir := project(t)
	add(t, dir, table)
	url := enginetest.Start(t)
	target, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	// Its address has no path, as the one of another program has none.
	other := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	defer other.Close()
	l := begin(t, dir, "-aws-endpoint", other.URL+"/")
	l.ready(t)
	l.put(t, "first")
	if l.run.PIDs["engine"] != 0 {
		t.Errorf("an engine of its own runs: %v", l.run.PIDs)
	}
	if _, err := os.Stat(filepath.Join(dir, ".local", "ministack")); !os.IsNotExist(err) {
		t.Errorf("an engine was installed: %v", err)
	}
	out, err := dynamodb.NewFromConfig(enginetest.InAccount(url, enginetest.Account)).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	if err != nil || len(out.TableNames) != 1 {
		t.Errorf("the other engine has %+v, %v", out, err)
	}
}
