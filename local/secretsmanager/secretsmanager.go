// Package secretsmanager runs AWS Secrets Manager on the laptop: secrets in
// memory, and GetSecretValue over the service's own protocol (AWS JSON 1.1).
package secretsmanager

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plaudit/local/part"
	"plaudit/local/template"
)

// Service is the part that holds the secrets. It is safe for concurrent use
// once it is started.
type Service struct {
	names   part.Names
	planned []planned

	mu      sync.RWMutex
	secrets []secret
}

// planned is a secret of the template.
type planned struct{ name, value string }

type secret struct {
	arn, name, value string
	version          string
	created          time.Time
}

// New returns the service for a stack, without secrets.
func New(names part.Names) *Service { return &Service{names: names} }

// Types implements part.Part.
func (s *Service) Types() []string { return []string{"AWS::SecretsManager::Secret"} }

// Values implements part.Part.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html
func (s *Service) Values(r template.Resource) map[string]any {
	arn := s.ARN(s.names.Name(r, "Name"))
	return map[string]any{"Ref": arn, "Id": arn}
}

// ignored are properties without effect on a laptop, with the reason.
var ignored = map[string]string{
	"Name": "Values reads it", "Description": "only a text", "KmsKeyId": "secrets live in memory", "Tags": "nothing reads them",
}

// Read implements part.Part.
func (s *Service) Read(r template.Resource) error {
	var in struct {
		SecretString string `cfn:"SecretString,required"`
	}
	if err := template.Decode(r, &in, ignored); err != nil {
		return err
	}
	name := s.names.Name(r, "Name")
	if slices.ContainsFunc(s.planned, func(p planned) bool { return p.name == name }) {
		return fmt.Errorf("%s: Name: the stack has another secret called %s", r.ID, name)
	}
	s.planned = append(s.planned, planned{name, in.SecretString})
	return nil
}

// Start implements part.Part.
func (s *Service) Start(context.Context) error {
	for _, p := range s.planned {
		if err := s.Put(p.name, p.value); err != nil {
			return err
		}
	}
	return nil
}

// Stop implements part.Part. The secrets end with the process.
func (s *Service) Stop() {}

// API implements part.Part.
func (s *Service) API() (string, http.Handler) { return "secretsmanager", s }

// ARN returns the ARN of the secret with a name. Like AWS's it ends in a hyphen
// and six characters, which here follow from the name.
func (s *Service) ARN(name string) string {
	sum := sha256.Sum256([]byte(name))
	suffix := base32.StdEncoding.EncodeToString(sum[:])[:6]
	return s.names.ARN("secretsmanager", "secret:"+name+"-"+suffix)
}

// Put makes a secret. The template's are made by Start; other services make
// theirs by Put, as RDS does for a master password. A name that exists is an
// error, as in AWS.
func (s *Service) Put(name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.secrets {
		if other.name == name {
			return fmt.Errorf("a secret called %s already exists", name)
		}
	}
	s.secrets = append(s.secrets, secret{arn: s.ARN(name), name: name, value: value, version: uuid.NewString(), created: time.Now()})
	return nil
}

// Value returns a secret's text by name, ARN, or ARN without the six
// characters.
func (s *Service) Value(id string) (string, bool) {
	found, ok := s.find(id)
	return found.value, ok
}

func (s *Service) find(id string) (secret, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, one := range s.secrets {
		if id == one.name || id == one.arn || id == one.arn[:len(one.arn)-len("-ABCDEF")] {
			return one, true
		}
	}
	return secret{}, false
}

const (
	current = "AWSCURRENT"
	maxBody = 1 << 20
)

// ServeHTTP serves the API.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-amzn-RequestId", uuid.NewString())
	if r.Method != http.MethodPost {
		fail(w, "UnknownOperationException", "Secrets Manager takes POST requests only")
		return
	}
	if target := r.Header.Get("X-Amz-Target"); target != "secretsmanager.GetSecretValue" {
		fail(w, "UnknownOperationException", fmt.Sprintf("the laptop cloud serves secretsmanager.GetSecretValue, not %q", target))
		return
	}
	var in struct {
		SecretID     *string `json:"SecretId"`
		VersionID    *string `json:"VersionId"`
		VersionStage *string `json:"VersionStage"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, "SerializationException", "the request's body could not be read")
		return
	}
	if err := json.Unmarshal(body, &in); err != nil {
		fail(w, "SerializationException", "the request's body is not the JSON of GetSecretValue")
		return
	}
	if in.SecretID == nil || *in.SecretID == "" {
		fail(w, "ValidationException", "SecretId is required")
		return
	}
	found, ok := s.find(*in.SecretID)
	if !ok {
		fail(w, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	}
	if in.VersionStage != nil && *in.VersionStage != current {
		fail(w, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: "+*in.VersionStage)
		return
	}
	if in.VersionID != nil && *in.VersionID != found.version {
		fail(w, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: "+*in.VersionID)
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"ARN":           found.arn,
		"Name":          found.name,
		"SecretString":  found.value,
		"VersionId":     found.version,
		"VersionStages": []string{current},
		"CreatedDate":   float64(found.created.UnixMilli()) / 1000,
	})
}

func fail(w http.ResponseWriter, kind, message string) {
	answer(w, http.StatusBadRequest, map[string]string{"__type": kind, "Message": message, "message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, out.String()) // the client is gone
}
