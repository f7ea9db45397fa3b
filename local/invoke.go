package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"plaudit/local/part"
)

const invokeUsage = `Usage: local invoke FUNCTION EVENT

Invokes one function of the laptop cloud that runs in this folder, without the
load balancer. FUNCTION is the name of its folder or its name in AWS. EVENT is a
JSON file, or - for standard input. The function's answer is printed to standard
output, its log to standard error. Exit codes: 0 after an answer, 1 after an
error of the function or of the call, 2 for wrong arguments.
`

// invoke invokes a function through the AWS endpoint, as `aws lambda invoke`
// does.
func invoke(ctx context.Context, folder string, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		fmt.Fprint(stdout, invokeUsage)
		return nil
	}
	if len(args) != 2 || args[0] == "" || args[1] == "" {
		return usageError{" invoke", errors.New("invoke needs a FUNCTION and an EVENT (make invoke F=FUNCTION E=EVENT)")}
	}
	name, file := args[0], args[1]
	run, err := readRunFile(folder)
	if err != nil {
		return err
	}
	if full, ok := run.Functions[name]; ok {
		name = full
	}
	var event []byte
	if file == "-" {
		event, err = io.ReadAll(stdin)
	} else {
		event, err = os.ReadFile(file)
	}
	if err != nil {
		return err
	}

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, run.AWS+"/2015-03-31/functions/"+name+"/invocations", bytes.NewReader(event))
	if err != nil {
		return err
	}
	// The endpoint reads the service from the scope of the signature, and does
	// not check the signature.
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=laptop/20260101/local/lambda/aws4_request, SignedHeaders=host, Signature=0")
	request.Header.Set("X-Amz-Log-Type", "Tail")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the AWS endpoint: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if tail, err := base64.StdEncoding.DecodeString(response.Header.Get("X-Amz-Log-Result")); err == nil {
		stderr.Write(harmless(tail))
	}
	if response.StatusCode != http.StatusOK {
		if response.StatusCode == http.StatusNotFound {
			return fmt.Errorf("the stack has no function %s; its functions are %s", args[0], strings.Join(slices.Sorted(maps.Keys(run.Functions)), ", "))
		}
		return fmt.Errorf("invoke %s: %s %s", name, response.Status, harmless(bytes.TrimSpace(answer)))
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, answer, "", "  ") == nil {
		answer = pretty.Bytes()
	}
	fmt.Fprintf(stdout, "%s\n", harmless(bytes.TrimSpace(answer)))
	if kind := response.Header.Get("X-Amz-Function-Error"); kind != "" {
		return fmt.Errorf("%s failed (%s)", name, kind)
	}
	return nil
}

// readRunFile reads the run.json of the laptop cloud that runs in the folder.
func readRunFile(folder string) (part.Run, error) {
	var content part.Run
	text, err := os.ReadFile(filepath.Join(folder, runFileName))
	if errors.Is(err, os.ErrNotExist) {
		return content, errors.New("no laptop cloud runs in this folder; `make run` starts one")
	}
	if err == nil {
		err = json.Unmarshal(text, &content)
	}
	return content, err
}
