package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ErrUnknownFunction: the endpoint has no function of the name.
var ErrUnknownFunction = errors.New("the function does not exist")

// Answer is the answer to an invocation through the Invoke API.
type Answer struct {
	Payload       []byte
	FunctionError string // "" if the function did not fail
	LogTail       []byte // the end of the invocation's log
}

// Invoke invokes a function through the AWS endpoint of a laptop cloud, as `aws
// lambda invoke` does.
func Invoke(ctx context.Context, endpoint, name string, event []byte) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/2015-03-31/functions/"+name+"/invocations", bytes.NewReader(event))
	if err != nil {
		return Answer{}, err
	}
	// The endpoint reads the service from the scope of the signature, and does
	// not check the signature.
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=laptop/20260101/local/lambda/aws4_request, SignedHeaders=host, Signature=0")
	request.Header.Set("X-Amz-Log-Type", "Tail")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("the AWS endpoint: %w", err)
	}
	defer response.Body.Close()
	answer := Answer{FunctionError: response.Header.Get("X-Amz-Function-Error")}
	if answer.Payload, err = io.ReadAll(response.Body); err != nil {
		return Answer{}, err
	}
	if tail, err := base64.StdEncoding.DecodeString(response.Header.Get("X-Amz-Log-Result")); err == nil {
		answer.LogTail = tail
	}
	switch response.StatusCode {
	case http.StatusOK:
		return answer, nil
	case http.StatusNotFound:
		return answer, ErrUnknownFunction
	}
	return answer, fmt.Errorf("invoke %s: %s %s", name, response.Status, bytes.TrimSpace(answer.Payload))
}
