package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

func TestStack(t *testing.T) {
	dir := project(t)
	l := begin(t, dir)
	l.ready(t)
	t.Run("run.json is its owner's alone and says where everything is", l.testRunFile)
	t.Run("hooks get outputs and endpoint", l.testHooks)
	t.Run("the balancer reaches function and service", l.testBalancer)
	t.Run("the AWS endpoint serves Invoke and GetSecretValue", l.testEndpoint)
	t.Run("local invoke prints a function's answer", l.testInvoke)
	t.Run("a second one in the same folder is refused", l.testSecond)
	t.Run("a task that dies is replaced", l.testTaskDies)
	t.Run("a database that dies is restarted with its data", l.testDatabaseDies)

	pids := l.processes(t)
	if err := l.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.ended(t)
	for _, pid := range pids {
		eventually(t, "after kill -9", func() error { return gone(pid) })
	}

	again := begin(t, dir)
	again.ready(t)
	var n int
	if err := again.database(t).QueryRow("SELECT n FROM kept").Scan(&n); err != nil || n != 42 {
		t.Errorf("after kill -9 the row reads %d, %v", n, err)
	}
	pids = again.processes(t)
	if err := again.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := again.ended(t); code != 0 {
		t.Errorf("exit code %d after Ctrl-C: %s", code, again.out)
	}
	for _, pid := range pids {
		if err := gone(pid); err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".local", "run.json")); !os.IsNotExist(err) {
		t.Errorf("run.json after the end: %v", err)
	}
}

func (l *laptop) testRunFile(t *testing.T) {
	info, err := os.Stat(filepath.Join(l.dir, ".local", "run.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if l.run.PIDs["laptop"] != l.cmd.Process.Pid || l.run.PIDs["web"] == 0 || l.run.Databases["things"].PID == 0 {
		t.Errorf("pids %v, databases %v", l.run.PIDs, l.run.Databases)
	}
	if l.run.Admin["email"] != "a@example.com" {
		t.Errorf("admin of the hook: %v", l.run.Admin)
	}
	var user, connections string
	if err := l.database(t).QueryRow("SELECT current_user, current_setting('max_connections')").Scan(&user, &connections); err != nil || user != "chief" || connections != "31" {
		t.Errorf("user %s, max_connections %s, %v", user, connections, err)
	}
}

func (l *laptop) testHooks(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(l.dir, ".local", "outputs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var outputs []struct{ OutputKey, OutputValue, Description string }
	if err := json.Unmarshal(content, &outputs); err != nil {
		t.Fatal(err)
	}
	if len(outputs) != 2 || outputs[0].OutputKey != "Url" || outputs[0].OutputValue != l.run.URL || outputs[0].Description != "Where it answers" {
		t.Errorf("outputs %+v, url %s", outputs, l.run.URL)
	}
	env, err := os.ReadFile(filepath.Join(l.dir, ".local", "after.env"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(env), "\n")
	if !slices.Contains(lines, "AWS_ENDPOINT_URL="+l.run.AWS) || !slices.Contains(lines, "AWS_REGION=ap-northeast-2") {
		t.Errorf("environment of the hook: %s", env)
	}
	if strings.Contains(string(env), "OF_THE_CALLER") {
		t.Error("the hook gets the caller's environment")
	}
	if !strings.Contains(l.out.String(), "setting up") {
		t.Errorf("the hook's progress is not shown: %s", l.out)
	}
}

func (l *laptop) testBalancer(t *testing.T) {
	hello, err := l.get("/hello/world")
	if err != nil {
		t.Fatal(err)
	}
	web, err := l.get("/")
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(strings.Split(l.run.Databases["things"].URL, "@")[1])
	if host != "127.0.0.1" {
		t.Errorf("database on %s", host)
	}
	for _, want := range []string{"GREETING=hello", "AWS_LAMBDA_FUNCTION_NAME=small-hello", "AWS_ENDPOINT_URL=" + l.run.AWS} {
		if !slices.Contains(hello.Env, want) {
			t.Errorf("the function's environment lacks %s: %q", want, hello.Env)
		}
	}
	for _, want := range []string{"TOKEN=made before", "DB_USER=chief", "AWS_ENDPOINT_URL=" + l.run.AWS} {
		if !slices.Contains(web.Env, want) {
			t.Errorf("the task's environment lacks %s: %q", want, web.Env)
		}
	}
	for _, env := range [][]string{hello.Env, web.Env} {
		if slices.Contains(env, "OF_THE_CALLER=x") {
			t.Errorf("the caller's environment is passed on: %q", env)
		}
	}
	if web.PID != l.run.PIDs["web"] {
		t.Errorf("run.json says process %d, which is %d", l.run.PIDs["web"], web.PID)
	}
}

func (l *laptop) testEndpoint(t *testing.T) {
	config := aws.Config{
		Region: "ap-northeast-2", BaseEndpoint: &l.run.AWS,
		Credentials: credentials.NewStaticCredentialsProvider("laptop", "laptop", ""),
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := lambda.NewFromConfig(config).Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("small-hello"), Payload: []byte("{}")})
	if err != nil || out.FunctionError != nil || !strings.Contains(string(out.Payload), "GREETING=hello") {
		t.Errorf("Invoke: %v, %+v", err, out)
	}
	secrets := secretsmanager.NewFromConfig(config)
	token, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("small/token")})
	if err != nil || *token.SecretString != "made before" {
		t.Errorf("the token: %v", err)
	}
	content, err := os.ReadFile(filepath.Join(l.dir, ".local", "outputs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var outputs []struct{ OutputKey, OutputValue string }
	if err := json.Unmarshal(content, &outputs); err != nil {
		t.Fatal(err)
	}
	master, err := secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &outputs[1].OutputValue})
	if err != nil {
		t.Fatal(err)
	}
	var login struct{ Username, Password string }
	if err := json.Unmarshal([]byte(*master.SecretString), &login); err != nil || login.Username != "chief" ||
		!strings.Contains(l.run.Databases["things"].URL, "chief:"+login.Password+"@") {
		t.Errorf("master secret: %v", err)
	}
	_, err = sts.NewFromConfig(config, func(o *sts.Options) { o.RetryMaxAttempts = 1 }).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "UnrecognizedClientException" || !strings.Contains(refused.ErrorMessage(), "sts") {
		t.Errorf("a service that is not served: %v", err)
	}
}

func (l *laptop) testInvoke(t *testing.T) {
	invoke := func(function string) (string, error) {
		cmd := exec.Command(laptopBinary, "invoke", function, "-")
		cmd.Dir, cmd.Stdin = l.dir, strings.NewReader("{}")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, name := range []string{"hello", "small-hello"} {
		if out, err := invoke(name); err != nil || !strings.Contains(out, "  \"statusCode\": 200\n") || !strings.Contains(out, "REPORT RequestId") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	if out, err := invoke("other"); err == nil || !strings.Contains(out, "error: the stack has no function other; its functions are hello\n") {
		t.Errorf("a function that does not exist: %v: %s", err, out)
	}
}

func (l *laptop) testSecond(t *testing.T) {
	second := begin(t, l.dir)
	if code := second.ended(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"already runs", l.run.URL, fmt.Sprint(l.cmd.Process.Pid)} {
		if !strings.Contains(second.out.String(), want) {
			t.Errorf("it does not say %q: %s", want, second.out)
		}
	}
	if _, err := l.get("/hello"); err != nil {
		t.Errorf("the first one after the second: %v", err)
	}
}

func (l *laptop) testTaskDies(t *testing.T) {
	before := l.run.PIDs["web"]
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the task is back", func() error {
		web, err := l.get("/")
		if err == nil && web.PID == before {
			return errors.New("the same process")
		}
		return err
	})
	l.read(t)
	if now := l.run.PIDs["web"]; now == before || now == 0 {
		t.Errorf("run.json says %d, before %d", now, before)
	}
	if !strings.Contains(l.out.String(), "signal: killed") {
		t.Errorf("the log does not say why: %s", l.out)
	}
}

func (l *laptop) testDatabaseDies(t *testing.T) {
	db := l.database(t)
	for _, statement := range []string{"CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (42)"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	before := l.run.Databases["things"].PID
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the database is back", func() error {
		l.read(t)
		if l.run.Databases["things"].PID == before {
			return errors.New("the same process")
		}
		var n int
		return db.QueryRow("SELECT n FROM kept").Scan(&n)
	})
}

func TestFailedHookEndsEverything(t *testing.T) {
	dir := project(t)
	if err := os.WriteFile(filepath.Join(dir, "after.fails"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := begin(t, dir)
	if code := l.ended(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if text := l.out.String(); !strings.Contains(text, "after.sh: exit status 3: the hook fails") {
		t.Errorf("it says %s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, ".local", "run.json")); !os.IsNotExist(err) {
		t.Errorf("run.json: %v", err)
	}
}

func TestStopsWhileItStarts(t *testing.T) {
	dir := project(t)
	script := "#!/bin/sh\necho waiting >&2\nexec sleep 60\n"
	if err := os.WriteFile(filepath.Join(dir, "before.sh"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	l := begin(t, dir)
	eventually(t, "the hook runs", func() error {
		if !strings.Contains(l.out.String(), "waiting") {
			return errors.New(l.out.String())
		}
		return nil
	})
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := l.ended(t); code != 1 || !strings.Contains(l.out.String(), "stopped before it was ready") {
		t.Errorf("exit code %d: %s", code, l.out)
	}
}

func TestPreflightNamesEverythingAtOnce(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(laptopBinary)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + dir, "PLAUDIT_POSTGRES_BIN=" + dir}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("it runs without anything")
	}
	for _, want := range []string{"Go 1.26", "apt-get install postgresql", "brew install", "samconfig.toml"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not name %q: %s", want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".local")); err == nil {
		t.Error("something was started")
	}
}

func TestTakenPortThatWasAskedFor(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	l := begin(t, project(t), "-http-port", port)
	if code := l.ended(t); code != 1 || !strings.Contains(l.out.String(), "port "+port+" of 127.0.0.1 is taken") {
		t.Errorf("exit code %d: %s", code, l.out)
	}
}

func TestPortsParameterGetsAFreePort(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	dir := project(t)
	file := filepath.Join(dir, "samconfig.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("WebPort=18081"), fmt.Appendf(nil, "WebPort=%d", port), 1)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l := begin(t, dir)
	l.ready(t)
	web, err := l.get("/")
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(web.Env, fmt.Sprintf("PORT=%d", port)) || !strings.Contains(l.out.String(), fmt.Sprintf("port %d is taken; WebPort is", port)) {
		t.Errorf("the task listens on the taken port: %q; %s", web.Env, l.out)
	}
}
