package s3

import (
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"plaudit/local/engine"
	"plaudit/local/ministack/enginetest"
	"plaudit/local/part"
	"plaudit/local/template"
)

func bucketOf(id, name string, change map[string]any) template.Resource {
	properties := map[string]any{
		"BucketName":                     name,
		"PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": true},
		"LifecycleConfiguration":         map[string]any{"Rules": []any{}},
	}
	for name, value := range change {
		properties[name] = value
	}
	return template.Resource{ID: id, Type: "AWS::S3::Bucket", Properties: properties}
}

func start(t *testing.T, laptop part.Laptop, resources ...template.Resource) (*Service, []string) {
	t.Helper()
	var said []string
	laptop.Say = func(text string) { said = append(said, text) }
	e := engine.New(laptop)
	s := New(laptop, e)
	for _, r := range resources {
		if err := s.Read(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Link(nil), e.Start(t.Context()), s.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return s, said
}

func TestABucketFollowsTheTemplateAndKeepsItsObjects(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	name := "things-" + laptop.AccountID
	versioned := map[string]any{"VersioningConfiguration": map[string]any{"Status": "Enabled"}}
	for i, step := range []struct {
		change map[string]any
		want   types.BucketVersioningStatus
	}{
		{nil, ""}, {versioned, types.BucketVersioningStatusEnabled}, {versioned, types.BucketVersioningStatusEnabled}, {nil, types.BucketVersioningStatusSuspended},
	} {
		s, _ := start(t, laptop, bucketOf("Things", name, step.change))
		client := s.client()
		key := aws.String("a folder/ä")
		if i == 0 {
			if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &name, Key: key, Body: strings.NewReader("content")}); err != nil {
				t.Fatal(err)
			}
		}
		status, err := client.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: &name})
		if err != nil || status.Status != step.want {
			t.Errorf("step %d: versioning %v, %v", i, status, err)
		}
		if _, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &name, Key: key}); err != nil {
			t.Errorf("step %d: the object: %v", i, err)
		}
	}
	_, said := start(t, laptop, bucketOf("Others", "others-"+laptop.AccountID, nil))
	if len(said) != 1 || !strings.Contains(said[0], "no S3 bucket "+name) {
		t.Errorf("a bucket that left the template: said %q", said)
	}
}

// Bytes and names pass as they are, also through the SDK's checksums and chunks.
func TestObjectsPassUnchanged(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	name := "bytes-" + laptop.AccountID
	s, _ := start(t, laptop, bucketOf("Bytes", name, nil))
	service, handler := s.API()
	server := httptest.NewServer(handler)
	defer server.Close()
	if service != "s3" {
		t.Errorf("the API is %s", service)
	}
	client := s3.NewFromConfig(enginetest.InAccount(server.URL, laptop.AccountID))
	body := bytes.Repeat([]byte("\x00\xff\r\n0;chunk"), 200_000)
	for _, key := range []string{"plain", "a b+c/%2F//ü?&=.json"} {
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &name, Key: &key, Body: bytes.NewReader(body)}); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: &key})
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		got, err := io.ReadAll(out.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes came back of %d, %v", key, len(got), len(body), err)
		}
	}
	list, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &name})
	if err != nil || len(list.Contents) != 2 || *list.Contents[0].Key != "a b+c/%2F//ü?&=.json" {
		t.Errorf("objects %+v, %v", list, err)
	}
}

func TestWhatIsWrongIsAnError(t *testing.T) {
	laptop := enginetest.Laptop(t, nil)
	for _, c := range []struct {
		resource template.Resource
		want     string
	}{
		{bucketOf("Things", "things", map[string]any{"NotificationConfiguration": map[string]any{}}), "NotificationConfiguration: the property is not supported on a laptop"},
		{bucketOf("Things", "things", map[string]any{"VersioningConfiguration": map[string]any{"Status": "On"}}), "Things: VersioningConfiguration.Status: must be Enabled or Suspended"},
	} {
		if err := New(laptop, engine.New(laptop)).Read(c.resource); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	s := New(laptop, engine.New(laptop))
	policy := template.Resource{ID: "Policy", Type: "AWS::S3::BucketPolicy", Properties: map[string]any{"Bucket": "nothing", "PolicyDocument": map[string]any{}}}
	if err := errors.Join(s.Read(policy), s.Link(nil)); err == nil || !strings.Contains(err.Error(), "Policy: Bucket: the stack has no bucket nothing") {
		t.Errorf("a policy of no bucket: %v", err)
	}
}
