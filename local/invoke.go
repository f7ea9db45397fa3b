package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"plaudit/local/lambda"
	"plaudit/local/part"
)

const invokeUsage = `Usage: local invoke FUNCTION EVENT

Invokes one function of the laptop cloud that runs in this folder, without the
load balancer. FUNCTION is the name of its folder or its name in AWS. EVENT is a
JSON file, or - for standard input. The function's answer is printed to standard
output, its log to standard error. Exit codes: 0 after an answer, 1 after an
error of the function or of the call, 2 for wrong arguments.
`

// invoke is the command.
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

	answer, err := lambda.Invoke(ctx, run.AWS, name, event)
	stderr.Write(harmless(answer.LogTail))
	if errors.Is(err, lambda.ErrUnknownFunction) {
		return fmt.Errorf("the stack has no function %s; its functions are %s", args[0], strings.Join(slices.Sorted(maps.Keys(run.Functions)), ", "))
	}
	if err != nil {
		return errors.New(string(harmless([]byte(err.Error()))))
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, answer.Payload, "", "  ") != nil {
		pretty.Reset()
		pretty.Write(answer.Payload)
	}
	fmt.Fprintf(stdout, "%s\n", harmless(bytes.TrimSpace(pretty.Bytes())))
	if answer.FunctionError != "" {
		return fmt.Errorf("%s failed (%s)", name, answer.FunctionError)
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
