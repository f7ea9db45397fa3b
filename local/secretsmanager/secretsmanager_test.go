package secretsmanager_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"plaudit/local/secretsmanager"
)

func client(t *testing.T, store *secretsmanager.Store) *awssm.Client {
	t.Helper()
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	return awssm.New(awssm.Options{
		BaseEndpoint: aws.String(server.URL),
		Region:       "ap-northeast-2",
		Credentials:  credentials.NewStaticCredentialsProvider("laptop", "laptop", ""),
	})
}

func TestGetSecretValue(t *testing.T) {
	const name, value = "plaudit/signing-key", "-----BEGIN PRIVATE KEY-----\n<한글>&\n"
	arn := secretsmanager.ARN("ap-northeast-2", "000000000000", name)
	store := &secretsmanager.Store{}
	if err := store.Put(arn, name, value); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(secretsmanager.ARN("ap-northeast-2", "000000000000", "other"), "other", "x"); err != nil {
		t.Fatal(err)
	}
	c := client(t, store)
	var version string
	for _, id := range []string{name, arn, arn[:strings.LastIndex(arn, "-")]} {
		out, err := c.GetSecretValue(t.Context(), &awssm.GetSecretValueInput{SecretId: &id})
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if *out.SecretString != value || *out.ARN != arn || *out.Name != name || out.CreatedDate.Year() < 2026 ||
			len(out.VersionStages) != 1 || out.VersionStages[0] != "AWSCURRENT" {
			t.Errorf("%s answers %+v", id, out)
		}
		version = *out.VersionId
	}
	out, err := c.GetSecretValue(t.Context(), &awssm.GetSecretValueInput{
		SecretId: aws.String(name), VersionId: &version, VersionStage: aws.String("AWSCURRENT"),
	})
	if err != nil || *out.SecretString != value {
		t.Errorf("by version and stage: %v", err)
	}

	for what, in := range map[string]*awssm.GetSecretValueInput{
		"unknown name":    {SecretId: aws.String("plaudit/signing")},
		"unknown stage":   {SecretId: aws.String(name), VersionStage: aws.String("AWSPREVIOUS")},
		"unknown version": {SecretId: aws.String(name), VersionId: aws.String("00000000-0000-0000-0000-000000000000")},
	} {
		_, err := c.GetSecretValue(t.Context(), in)
		var notFound *types.ResourceNotFoundException
		if !errors.As(err, &notFound) || notFound.ErrorMessage() == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOtherOperationsAreRefused(t *testing.T) {
	c := client(t, &secretsmanager.Store{})
	_, err := c.ListSecrets(t.Context(), &awssm.ListSecretsInput{})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "UnknownOperationException" {
		t.Errorf("ListSecrets: %v", err)
	}
}

func TestOneSecretPerName(t *testing.T) {
	store := &secretsmanager.Store{}
	arn := secretsmanager.ARN("eu-west-1", "000000000000", "a")
	if err := store.Put(arn, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := store.Put(arn, "a", "2"); err == nil {
		t.Error("a second secret with the same name is taken")
	}
	if value, ok := store.Value("a"); !ok || value != "1" {
		t.Errorf("a is %q, %v", value, ok)
	}
}
