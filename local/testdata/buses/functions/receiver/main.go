// Command receiver is a function that needs no library: it appends the number n of its
// event to the file FOLDER/got.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		var in struct{ N int }
		err = json.NewDecoder(next.Body).Decode(&in)
		next.Body.Close()
		if err == nil {
			err = keep(in.N)
		}
		kind, answer := "response", []byte("{}")
		if err != nil {
			kind = "error"
			answer, _ = json.Marshal(map[string]string{"errorMessage": err.Error()})
		}
		done, err := http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/"+kind, "application/json", bytes.NewReader(answer))
		if err != nil {
			os.Exit(1)
		}
		done.Body.Close()
	}
}

func keep(n int) error {
	f, err := os.OpenFile(filepath.Join(os.Getenv("FOLDER"), "got"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, n)
	return err
}
