// Package secretsmanager answers AWS Secrets Manager's GetSecretValue over the
// service's own protocol (AWS JSON 1.1).
package secretsmanager

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Store holds secrets in memory. It is safe for concurrent use.
type Store struct {
	mu      sync.RWMutex
	secrets []secret
}

type secret struct {
	arn, name, value string
	version          string
	created          time.Time
}

// ARN gives the ARN of the secret with a name: like AWS's it ends in a hyphen
// and six characters, here always the same ones for the same name.
func ARN(region, account, name string) string {
	sum := sha256.Sum256([]byte(name))
	suffix := base32.StdEncoding.EncodeToString(sum[:])[:6]
	return fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", region, account, name, suffix)
}

// Put adds a secret. A second one with the same name or ARN is an error, as in
// AWS.
func (s *Store) Put(arn, name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.secrets {
		if other.arn == arn || other.name == name {
			return fmt.Errorf("there are two secrets with the name %s", name)
		}
	}
	s.secrets = append(s.secrets, secret{arn: arn, name: name, value: value, version: uuid.NewString(), created: time.Now()})
	return nil
}

// Value gives a secret's text by name, ARN, or ARN without the six characters.
func (s *Store) Value(id string) (string, bool) {
	found, ok := s.find(id)
	return found.value, ok
}

func (s *Store) find(id string) (secret, bool) {
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
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-amzn-RequestId", uuid.NewString())
	if r.Method != http.MethodPost {
		fail(w, "UnknownOperationException", "Secrets Manager is called by POST")
		return
	}
	if target := r.Header.Get("X-Amz-Target"); target != "secretsmanager.GetSecretValue" {
		fail(w, "UnknownOperationException", fmt.Sprintf("the laptop serves secretsmanager.GetSecretValue, not %q", target))
		return
	}
	var in struct {
		SecretID     *string `json:"SecretId"`
		VersionID    *string `json:"VersionId"`
		VersionStage *string `json:"VersionStage"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		fail(w, "SerializationException", "the request's body cannot be read")
		return
	}
	if err := json.Unmarshal(body, &in); err != nil {
		fail(w, "SerializationException", "the request is not the JSON of GetSecretValue")
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
	_, _ = io.WriteString(w, out.String()) // nobody is left to tell
}
