// Command receiver is a function that needs no library: it appends the bodies of a
// queue's messages to the file FOLDER/got, and fails while FOLDER/fail exists.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

type event struct {
	Records []struct{ Body string }
}

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		var in event
		err = json.NewDecoder(next.Body).Decode(&in)
		next.Body.Close()
		if err == nil {
			err = keep(in)
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

func keep(in event) error {
	folder := os.Getenv("FOLDER")
	if _, err := os.Stat(filepath.Join(folder, "fail")); err == nil {
		return fmt.Errorf("it was told to fail")
	}
	f, err := os.OpenFile(filepath.Join(folder, "got"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, r := range in.Records {
		if _, err := fmt.Fprintln(f, r.Body); err != nil {
			return err
		}
	}
	return nil
}
