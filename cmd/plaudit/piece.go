package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// runFile is what `make run` writes into .local/run.json.
type runFile struct {
	URL, AWS, Region string
	Admin            credentialsIn
	Functions        map[string]string // names in AWS, by folder
}

func readRunFile(file string) (runFile, error) {
	var run runFile
	text, err := os.ReadFile(file)
	if err != nil {
		return run, fmt.Errorf("no laptop cloud runs here; start one with `make run`: %w", err)
	}
	if err := json.Unmarshal(text, &run); err != nil {
		return run, fmt.Errorf("%s: %w", file, err)
	}
	return run, nil
}

// place names the stack that a command works on: the laptop's, or one in the cloud.
type place struct{ run, outputs *string }

func placeFlags(flags *flag.FlagSet) place {
	return place{
		run:     flags.String("run", ".local/run.json", "`FILE` that `make run` writes: the stack of the laptop"),
		outputs: flags.String("outputs", "", "`FILE` with the JSON of a stack's outputs, as `sam list stack-outputs --output json` prints it; - is standard input. The stack is in the cloud, in the region and with the credentials of the AWS SDK"),
	}
}

// checkFunction is the name of db-check, behind that of the stack.
const checkFunction = "db-check"

// found is a stack that was found.
type found struct {
	config aws.Config // of clients of its AWS services
	check  string     // name of its function db-check
}

// stack returns the stack's name.
func (f found) stack() (string, error) {
	name, ok := strings.CutSuffix(f.check, "-"+checkFunction)
	if !ok || name == "" {
		return "", fmt.Errorf("the function %s is not named as in the template, STACK-%s, so the stack's name is not known", f.check, checkFunction)
	}
	return name, nil
}

// find finds the stack.
func (p place) find(ctx context.Context, stdin io.Reader) (found, error) {
	if *p.outputs == "" {
		run, err := readRunFile(*p.run)
		if err != nil {
			return found{}, err
		}
		if run.Functions[checkFunction] == "" {
			return found{}, fmt.Errorf("%s has no function %s", *p.run, checkFunction)
		}
		cfg := aws.Config{
			Region: run.Region, BaseEndpoint: &run.AWS,
			// The laptop does not check credentials, but the SDK sends no request without any.
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "laptop", SecretAccessKey: "laptop"}, nil
			}),
		}
		return found{cfg, run.Functions[checkFunction]}, nil
	}
	if *p.outputs != "-" {
		file, err := os.Open(*p.outputs)
		if err != nil {
			return found{}, err
		}
		defer file.Close()
		stdin = file
	}
	values, err := readOutputs(stdin)
	if err != nil {
		return found{}, err
	}
	if values["DbCheckFunctionName"] == "" {
		return found{}, errors.New("the stack's outputs lack DbCheckFunctionName")
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return found{}, err
	}
	return found{cfg, values["DbCheckFunctionName"]}, nil
}

// checker is the function db-check of a stack.
type checker struct {
	functions *lambda.Client
	name      string
}

// checker finds db-check.
func (p place) checker(ctx context.Context, stdin io.Reader) (checker, error) {
	f, err := p.find(ctx, stdin)
	if err != nil {
		return checker{}, err
	}
	return checker{lambda.NewFromConfig(f.config), f.check}, nil
}

// attempts is how often a piece after the first one is tried: what was done so far must
// not be lost because a database was away for a moment.
const attempts = 5

// pieces has db-check do a request, piece by piece, and passes each answer to done. Each
// piece can be repeated.
func (c checker) pieces(ctx context.Context, request map[string]any, done func(answer []byte, more bool) error) error {
	for failures := 0; ; {
		text, err := invoke(ctx, c.functions, c.name, request)
		if failures++; err != nil && request["place"] != nil && failures < attempts && sleep(ctx, waiting) == nil {
			continue
		}
		if err != nil {
			return err
		}
		failures = 0
		var answer struct {
			Place json.RawMessage `json:"place"`
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			return fmt.Errorf("%s answered with something else than a JSON object: %w", c.name, err)
		}
		more := answer.Place != nil && string(answer.Place) != "null"
		if err := done([]byte(text), more); err != nil || !more {
			return err
		}
		request["place"] = answer.Place
	}
}

// waiting is the time between two attempts, and between two looks at a restore that has
// nothing else to do.
const waiting = time.Second

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
