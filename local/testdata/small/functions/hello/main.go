// Command hello is a function that needs no library: it answers every event
// with its environment and its process id.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		if _, err := io.Copy(io.Discard, next.Body); err != nil {
			os.Exit(1)
		}
		next.Body.Close()
		body, err := json.Marshal(map[string]any{"pid": os.Getpid(), "env": os.Environ()})
		if err != nil {
			os.Exit(1)
		}
		answer, err := json.Marshal(map[string]any{"statusCode": 200, "headers": map[string]string{"Content-Type": "application/json"}, "body": string(body)})
		if err != nil {
			os.Exit(1)
		}
		done, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(answer))
		if err != nil {
			os.Exit(1)
		}
		done.Body.Close()
	}
}
