// Command function is a function for the tests. Its event decides what it does,
// its environment how it starts and ends.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	N    int    `json:"n"`
	Text string `json:"text"`
	File string `json:"file"`
}

type handler struct{}

func (handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var in event
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, err
	}
	switch in.Do {
	case "exit":
		os.Exit(in.N)
	case "hang":
		select {}
	case "fail":
		return nil, errors.New(in.Text)
	case "panic":
		panic(in.Text)
	case "hold":
		// Adds a line to a file, and waits until another one exists.
		begun, err := os.OpenFile(in.File+".begun", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		_, err = fmt.Fprintln(begun, os.Getpid())
		if err := errors.Join(err, begun.Close()); err != nil {
			return nil, err
		}
		for {
			if _, err := os.Stat(in.File); err == nil {
				return json.Marshal(os.Getpid())
			}
			time.Sleep(time.Millisecond)
		}
	case "pid":
		return json.Marshal(os.Getpid())
	case "print":
		for i := range in.N {
			fmt.Printf("out %d %s\n", i, in.Text)
			fmt.Fprintf(os.Stderr, "err %d %s\n", i, in.Text)
		}
		return []byte("null"), nil
	case "large":
		return []byte(`"` + strings.Repeat("x", in.N-2) + `"`), nil
	case "environment":
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]any{"env": os.Environ(), "dir": dir})
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return json.Marshal(map[string]any{
			"request": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "custom": lc.ClientContext.Custom,
			"trace": os.Getenv("_X_AMZN_TRACE_ID"), "deadline_ms": deadline.UnixMilli(),
		})
	case "count":
		// Fails until the file has N lines.
		f, err := os.OpenFile(in.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if _, err := fmt.Fprintln(f, time.Now().UnixNano()); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(in.File)
		if err != nil {
			return nil, err
		}
		if strings.Count(string(text), "\n") < in.N {
			return nil, errors.New("not yet")
		}
	}
	return payload, nil
}

func main() {
	switch os.Getenv("INIT") {
	case "exit":
		os.Exit(3)
	case "hang":
		select {}
	case "hang once":
		if err := os.Mkdir(os.Getenv("INIT_FILE"), 0o700); err == nil {
			select {}
		}
	case "error":
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		resp, err := http.Post(url, "application/json", strings.NewReader(`{"errorType":"Config.Missing","errorMessage":"SCORES_DSN is not set"}`))
		if err == nil {
			resp.Body.Close()
		}
		os.Exit(1)
	}
	var options []lambda.Option
	switch os.Getenv("ON_SIGTERM") {
	case "write":
		options = append(options, lambda.WithEnableSIGTERM(func() {
			_ = os.WriteFile(os.Getenv("SIGTERM_FILE"), []byte("bye"), 0o600)
			os.Exit(0)
		}))
	case "ignore":
		options = append(options, lambda.WithEnableSIGTERM(func() {}))
	case "write without extension":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		go func() {
			<-c
			_ = os.WriteFile(os.Getenv("SIGTERM_FILE"), []byte("bye"), 0o600)
		}()
	}
	lambda.StartWithOptions(handler{}, options...)
}
