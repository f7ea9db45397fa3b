// Package boot starts a deployable: it reads the environment into the
// deployable's config, sets up the log, listens for the signal to stop, and
// serves what is not behind the load balancer's Lambda edge.
package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"plaudit/shared/trace"
)

// Main runs the deployable of that name and ends the process: with exit status
// 0 where run returns nil, else with one log line and status 1.
//
// Before run the environment is parsed into C by its `env` tags
// (github.com/caarlos0/env). A variable without an `envDefault` must be set;
// it may be empty unless its tag says notEmpty. The context ends with SIGTERM
// or SIGINT; run then has the time that the platform gives to tidy up. A
// second signal ends the process at once.
//
// In Lambda an error before the runtime loop is reported as the failure of the
// function's init, so that whoever invokes it reads the reason.
func Main[C any](name string, run func(ctx context.Context, cfg C) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)

	fitLambda()
	level, err := logLevel()
	startLog(name, os.Stdout, level)
	var cfg C
	if err = parse(&cfg, err); err == nil {
		err = run(ctx, cfg)
	}
	if err != nil {
		slog.Error(name+" ends", "error", err)
		reportInitError(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// reportInitError tells Lambda why the function cannot start
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror).
// The log line has been written already, so its own failure changes nothing.
func reportInitError(err error) {
	api := os.Getenv("AWS_LAMBDA_RUNTIME_API")
	if api == "" {
		return
	}
	const kind = "Runtime.InitError"
	body, _ := json.Marshal(map[string]any{"errorMessage": err.Error(), "errorType": kind, "stackTrace": []string{}})
	req, err := http.NewRequest(http.MethodPost, "http://"+api+"/2018-06-01/runtime/init/error", bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Lambda-Runtime-Function-Error-Type", kind)
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{}} // never through a proxy
	if resp, err := client.Do(req); err == nil {
		resp.Body.Close()
	}
}

// Invoke serves a Lambda that stands behind no load balancer: each event is
// decoded from JSON into In, what handle gives is encoded. It returns when ctx
// has ended and no handle is running; handle's context ends with ctx and with
// the invoke's deadline, and carries its trace.Info.
//
// It fails where the program does not run as a Lambda function.
func Invoke[In, Out any](ctx context.Context, handle func(context.Context, In) (Out, error)) error {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		return errors.New("AWS_LAMBDA_RUNTIME_API is not set: this program is a Lambda function, started by Lambda or, on a laptop, by `make run`")
	}
	var running sync.RWMutex
	// The loop never returns: it ends with the process.
	go lambda.StartWithOptions(func(ctx context.Context, in In) (Out, error) {
		running.RLock()
		defer running.RUnlock()
		info := trace.Info{Parent: trace.Parent("")}
		if invoke, ok := lambdacontext.FromContext(ctx); ok {
			info.RequestID = invoke.AwsRequestID
		}
		return handle(trace.With(ctx, info), in)
	}, lambda.WithContext(ctx), lambda.WithEnableSIGTERM())
	<-ctx.Done()
	running.Lock()
	return nil
}
