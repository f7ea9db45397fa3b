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

	"plaudit/local/part"
	"plaudit/local/secretsmanager"
	"plaudit/local/template"
)

var names = part.Names{Pseudo: template.Pseudo{StackName: "small", Region: "ap-northeast-2", AccountID: "000000000000"}}

func resource(id string, properties map[string]any) template.Resource {
	return template.Resource{ID: id, Type: "AWS::SecretsManager::Secret", Properties: properties}
}

func client(t *testing.T, service *secretsmanager.Service) *awssm.Client {
	t.Helper()
	name, handler := service.API()
	if name != "secretsmanager" {
		t.Errorf("clients sign for secretsmanager, not for %s", name)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return awssm.New(awssm.Options{
		BaseEndpoint: aws.String(server.URL),
		Region:       "ap-northeast-2",
		Credentials:  credentials.NewStaticCredentialsProvider("laptop", "laptop", ""),
	})
}

func TestGetSecretValue(t *testing.T) {
	const name, value = "plaudit/signing-key", "-----BEGIN PRIVATE KEY-----\n<한글>&\n"
	service := secretsmanager.New(names)
	for _, r := range []template.Resource{
		resource("SigningKey", map[string]any{"Name": name, "SecretString": value, "Description": "signs"}),
		resource("Other", map[string]any{"SecretString": "x"}),
	} {
		if err := service.Read(r); err != nil {
			t.Fatal(err)
		}
	}
	arn, _ := service.Values(resource("SigningKey", map[string]any{"Name": name}))["Ref"].(string)
	if _, ok := service.Value(arn); ok {
		t.Error("a secret exists before the start")
	}
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer service.Stop()
	c := client(t, service)
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
	c := client(t, secretsmanager.New(names))
	_, err := c.ListSecrets(t.Context(), &awssm.ListSecretsInput{})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "UnknownOperationException" {
		t.Errorf("ListSecrets: %v", err)
	}
}

func TestRefIsTheARN(t *testing.T) {
	service := secretsmanager.New(names)
	for id, want := range map[string]string{
		"Named":   "arn:aws:secretsmanager:ap-northeast-2:000000000000:secret:key-",
		"Unnamed": "arn:aws:secretsmanager:ap-northeast-2:000000000000:secret:small-Unnamed-",
	} {
		properties := map[string]any{}
		if id == "Named" {
			properties["Name"] = "key"
		}
		values := service.Values(resource(id, properties))
		if ref, _ := values["Ref"].(string); !strings.HasPrefix(ref, want) || values["Id"] != ref {
			t.Errorf("%s: %v", id, values)
		}
	}
}

func TestReadReportsWhatItDoesNotSupport(t *testing.T) {
	service := secretsmanager.New(names)
	if err := service.Read(resource("A", map[string]any{"Name": "a", "SecretString": "1"})); err != nil {
		t.Fatal(err)
	}
	for want, properties := range map[string]map[string]any{
		"another secret called a": {"Name": "a", "SecretString": "2"},
		"SecretString":            {"Name": "b"},
		"GenerateSecretString":    {"Name": "c", "SecretString": "3", "GenerateSecretString": map[string]any{}},
	} {
		if err := service.Read(resource("B", properties)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", properties, err)
		}
	}
}

func TestOneSecretPerName(t *testing.T) {
	service := secretsmanager.New(names)
	if err := service.Put("a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := service.Put("a", "2"); err == nil {
		t.Error("a second secret with the same name is taken")
	}
	for _, id := range []string{"a", service.ARN("a")} {
		if value, ok := service.Value(id); !ok || value != "1" {
			t.Errorf("%s is %q, %v", id, value, ok)
		}
	}
}
