// Package boot starts a deployable: it reads the environment into the
// deployable's config, sets up log and metrics, listens for the signal to stop,
// and serves HTTP, invokes, and batches of a stream or a queue. Package alb serves
// the load balancer's events in Lambda.
package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Main runs the deployable of that name and ends the process: with exit status
// 0 if run returns nil, else with one log line and status 1.
//
// Before run the environment is parsed into C by its `env` tags
// (github.com/caarlos0/env), including those of nested structs. A variable
// without an `envDefault` must be set; it may be empty unless its tag says
// notEmpty. The context ends with SIGTERM or SIGINT; run then has as much time
// to tidy up as the platform allows. A second signal ends the process at once.
//
// In Lambda an error before the runtime loop is reported as the failure of the
// function's init, so that the invoker reads the reason.
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

// reportInitError reports to Lambda why the function cannot start
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror).
// The log line is already written, so a failure of the report changes nothing.
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
