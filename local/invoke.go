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
	"text/tabwriter"
	"time"

	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/schedule"
)

const invokeUsage = `Usage: local invoke [FUNCTION [EVENT]]

Invokes one function of the laptop cloud that runs in this folder, without the
load balancer. FUNCTION is the name of its folder or its name in AWS; without it,
or with ?, the functions are listed. EVENT is a JSON file, or - for standard
input; without it, the function gets what its schedule sends, now. The function's
answer is printed to standard output, its log to standard error. Exit codes: 0
after an answer, 1 after an error of the function or of the call, 2 for wrong
arguments.
`

// invoke is the command. Arguments may be "", because make passes them on like that.
func invoke(ctx context.Context, folder string, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		fmt.Fprint(stdout, invokeUsage)
		return nil
	}
	if len(args) > 2 {
		return usageError{" invoke", errors.New("invoke needs at most a FUNCTION and an EVENT (make invoke F=FUNCTION E=EVENT)")}
	}
	args = append(args, "", "")
	name, file := args[0], args[1]
	if name == "" && file != "" {
		return usageError{" invoke", errors.New("invoke needs a FUNCTION for the EVENT (make invoke F=FUNCTION E=EVENT)")}
	}
	run, err := readRunFile(folder)
	if err != nil {
		return err
	}
	if name == "" || name == "?" {
		listFunctions(stdout, run)
		return nil
	}
	if full, ok := run.Functions[name]; ok {
		name = full
	}
	var event []byte
	switch file {
	case "":
		event, err = scheduled(args[0], name, run)
	case "-":
		event, err = io.ReadAll(stdin)
	default:
		event, err = os.ReadFile(file)
	}
	if err != nil {
		return err
	}

	answer, err := lambda.Invoke(ctx, run.AWS, name, event)
	stderr.Write(harmless(answer.LogTail))
	if errors.Is(err, lambda.ErrUnknownFunction) {
		return unknownFunction(args[0], run)
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

// listFunctions prints the functions, with the schedules that invoke them.
func listFunctions(stdout io.Writer, run part.Run) {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, folder := range slices.Sorted(maps.Keys(run.Functions)) {
		line := folder + "\t" + run.Functions[folder]
		if names := schedulesOf(run.Functions[folder], run); len(names) > 0 {
			line += "\tschedule " + strings.Join(names, ", ")
		}
		fmt.Fprintln(table, line)
	}
	_ = table.Flush() // nobody reads it
}

// schedulesOf returns the names of the schedules that invoke a function.
func schedulesOf(name string, run part.Run) (names []string) {
	for _, one := range run.Schedules {
		if one.Function == name {
			names = append(names, one.Name)
		}
	}
	return names
}

// scheduled returns what the schedule of a function sends now.
func scheduled(called, name string, run part.Run) ([]byte, error) {
	if !slices.Contains(slices.Collect(maps.Values(run.Functions)), name) {
		return nil, unknownFunction(called, run)
	}
	switch names := schedulesOf(name, run); len(names) {
	case 0:
		return nil, fmt.Errorf("no schedule invokes %s; give it an EVENT, a file or - for standard input (make invoke F=%s E=EVENT)", called, called)
	case 1:
		i := slices.IndexFunc(run.Schedules, func(one part.RunSchedule) bool { return one.Function == name })
		return schedule.Payload(run.Schedules[i].ARN, run.Schedules[i].Input, time.Now()), nil
	default:
		return nil, fmt.Errorf("%d schedules invoke %s: %s; give it an EVENT, a file or - for standard input (make invoke F=%s E=EVENT)", len(names), called, strings.Join(names, ", "), called)
	}
}

func unknownFunction(name string, run part.Run) error {
	return fmt.Errorf("the stack has no function %s; its functions are %s", name, strings.Join(slices.Sorted(maps.Keys(run.Functions)), ", "))
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
