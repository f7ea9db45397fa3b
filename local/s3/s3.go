// Package s3 makes the S3 buckets of a template in the laptop's engine, which
// serves the API.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"plaudit/local/engine"
	"plaudit/local/part"
	"plaudit/local/template"
)

// maxBody is far more than the stack's objects need. The engine keeps a request's
// body in memory; AWS takes 5 GB.
const maxBody = 1 << 30

// Service is the part that makes the buckets.
type Service struct {
	laptop   part.Laptop
	engine   *engine.Engine
	buckets  []bucket
	policies map[string]string // logical id → bucket
}

type bucket struct {
	id, name string
	versions types.BucketVersioningStatus // "": never versioned
}

// New returns the service for a stack, without buckets.
func New(l part.Laptop, e *engine.Engine) *Service {
	return &Service{laptop: l, engine: e, policies: map[string]string{}}
}

// Types implements part.Part.
func (s *Service) Types() []string { return []string{"AWS::S3::Bucket", "AWS::S3::BucketPolicy"} }

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
func (s *Service) Values(r template.Resource) map[string]any {
	if r.Type == "AWS::S3::BucketPolicy" {
		return map[string]any{"Ref": r.Properties["Bucket"]}
	}
	name := s.name(r)
	return map[string]any{
		"Ref": name, "BucketName": name, "Arn": "arn:aws:s3:::" + name,
		"DomainName":         name + ".s3.amazonaws.com",
		"RegionalDomainName": name + ".s3." + s.laptop.Region + ".amazonaws.com",
	}
}

func (s *Service) name(r template.Resource) string {
	if name, ok := r.Properties["BucketName"].(string); ok && name != "" {
		return name
	}
	return strings.ToLower(s.laptop.Short(r, "BucketName", 63))
}

// ignored are properties without effect on a laptop, by type, with the reason.
var ignored = map[string]map[string]string{
	"AWS::S3::Bucket": {
		"BucketName": "Values reads it", "PublicAccessBlockConfiguration": part.NoIAM, "OwnershipControls": part.NoIAM,
		"AccessControl": part.NoIAM, "BucketEncryption": "the disk is this machine's", "LifecycleConfiguration": "`make clean` deletes it",
		"Tags": "nothing reads them",
	},
	"AWS::S3::BucketPolicy": {"PolicyDocument": part.NoIAM},
}

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	s.engine.Want()
	if r.Type == "AWS::S3::BucketPolicy" {
		var in struct {
			Bucket string `cfn:"Bucket,required"`
		}
		err := template.Decode(r, &in, ignored[r.Type])
		s.policies[r.ID] = in.Bucket
		return err
	}
	var in struct {
		Versioning struct {
			Status string `cfn:"Status,required"`
		} `cfn:"VersioningConfiguration"`
	}
	if err := template.Decode(r, &in, ignored[r.Type]); err != nil {
		return err
	}
	b := bucket{id: r.ID, name: s.name(r), versions: types.BucketVersioningStatus(in.Versioning.Status)}
	if b.versions != "" && !slices.Contains(b.versions.Values(), b.versions) {
		return fmt.Errorf("%s: VersioningConfiguration.Status: must be Enabled or Suspended", r.ID)
	}
	if s.has(b.name) {
		return fmt.Errorf("%s: BucketName: the stack has another bucket called %s", r.ID, b.name)
	}
	s.buckets = append(s.buckets, b)
	return nil
}

func (s *Service) has(name string) bool {
	return slices.ContainsFunc(s.buckets, func(b bucket) bool { return b.name == name })
}

// Link implements part.Linker.
func (s *Service) Link(*template.Stack) error {
	var errs []error
	for id, name := range s.policies {
		if !s.has(name) {
			errs = append(errs, fmt.Errorf("%s: Bucket: the stack has no bucket %s", id, name))
		}
	}
	return errors.Join(errs...)
}

// Start implements part.Part: it makes the buckets that are missing, and changes
// those that differ from the template.
func (s *Service) Start(ctx context.Context) error {
	if len(s.buckets) == 0 {
		return nil
	}
	began := time.Now()
	s.engine.AfterLoss(s.makeAll)
	if err := s.makeAll(ctx); err != nil {
		return err
	}
	s.laptop.Started("S3", fmt.Sprintf("buckets %d", len(s.buckets)), time.Since(began))
	return s.reportOthers(ctx)
}

// Stop implements part.Part. The buckets stay in the engine.
func (s *Service) Stop() {}

// API implements part.Part.
func (s *Service) API() (string, http.Handler) { return "s3", s.engine.Proxy(maxBody) }

func (s *Service) client() *s3.Client {
	return s3.NewFromConfig(s.engine.Config(), func(o *s3.Options) { o.UsePathStyle = true })
}

func (s *Service) makeAll(ctx context.Context) error {
	client := s.client()
	var errs []error
	for _, b := range s.buckets {
		if err := engine.Settle(func() error { return b.make(ctx, client, s.laptop.Region) }); err != nil {
			errs = append(errs, fmt.Errorf("%s: bucket %s: %w", b.id, b.name, err))
		}
	}
	return errors.Join(errs...)
}

func (b bucket) make(ctx context.Context, client *s3.Client, region string) error {
	_, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	if isMissing(err) {
		in := &s3.CreateBucketInput{Bucket: &b.name}
		if region != "us-east-1" { // the default, which must not be named
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
		}
		_, err = client.CreateBucket(ctx, in)
	}
	if err != nil {
		return err
	}
	out, err := client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.name})
	if err != nil {
		return err
	}
	want := b.versions
	if want == "" && out.Status == types.BucketVersioningStatusEnabled {
		want = types.BucketVersioningStatusSuspended // it cannot be turned off
	}
	if want == "" || out.Status == want {
		return nil
	}
	_, err = client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &b.name, VersioningConfiguration: &types.VersioningConfiguration{Status: want},
	})
	return err
}

func isMissing(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && (answer.ErrorCode() == "NotFound" || answer.ErrorCode() == "NoSuchBucket")
}

// reportOthers names buckets that the template does not have (any more).
func (s *Service) reportOthers(ctx context.Context) error {
	pages := s3.NewListBucketsPaginator(s.client(), &s3.ListBucketsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, b := range page.Buckets {
			if !s.has(*b.Name) {
				s.laptop.Say(fmt.Sprintf("warning: the template has no S3 bucket %s; the laptop keeps it, with its data", *b.Name))
			}
		}
	}
	return nil
}
