package sam

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The users service's image, built by its Dockerfile and run with the template's
// limits, is healthy and logs the admin in.
func TestUsersImage(t *testing.T) {
	needsEngine(t)
	t.Parallel()
	if _, err := stack.output(exec.Command("make", "build", "ARCH="+runtime.GOARCH)); err != nil {
		t.Fatal(err)
	}
	image := fmt.Sprintf("plaudit-users-test:%d", os.Getpid())
	if _, err := stack.output(containers.docker("build", "--quiet", "-f", "services/users/Dockerfile", "-t", image, ".")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := containers.docker("image", "rm", "--force", image).CombinedOutput(); err != nil {
			t.Errorf("remove the image: %v: %s", err, out)
		}
	})

	run := containers.docker("run", "--detach", "--read-only", "--memory", "400m",
		"--add-host", "host.docker.internal:host-gateway", "--publish", "127.0.0.1::8080", "--health-interval", "1s")
	for name, value := range taskVariables(t) {
		// By name, so that no process list shows a value.
		run.Args = append(run.Args, "--env", name)
		run.Env = append(run.Env, name+"="+value)
	}
	run.Args = append(run.Args, image)
	out, err := stack.output(run)
	if err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := containers.docker("rm", "--force", "--volumes", id).CombinedOutput(); err != nil {
			t.Errorf("remove the container: %v: %s", err, out)
		}
	})

	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		state, err := containers.docker("inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", id).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, state)
		}
		if strings.TrimSpace(string(state)) == "running healthy" {
			break
		}
		if time.Now().After(deadline) || strings.HasPrefix(string(state), "exited") {
			logs, _ := containers.docker("logs", id).CombinedOutput()
			t.Fatalf("it is %s: %s", strings.TrimSpace(string(state)), logs)
		}
	}
	address, err := containers.docker("port", id, "8080/tcp").Output()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(stack.Info.Admin)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+strings.TrimSpace(string(address))+"/v1/sessions", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	var session struct {
		AccessToken string `json:"access_token"`
	}
	text := read(t, resp.Body)
	if err := json.Unmarshal([]byte(text), &session); err != nil || resp.StatusCode != http.StatusCreated || session.AccessToken == "" {
		t.Errorf("login: %s, %v", resp.Status, err)
	}
}

// taskVariables are those of the template's task definition.
func taskVariables(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(stack.File("secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ SigningKey, Jwks, UsersDbPassword string }
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	database, err := url.Parse(stack.Info.Databases["users"].URL)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"PORT": "8080", "AWS_REGION": "ap-northeast-2", "ALLOWED_ORIGINS": "", "JWKS": made.Jwks,
		"ADMIN_EMAIL": stack.Info.Admin.Email, "LOGINS_PER_ADDRESS": "1000", "SIGN_UPS_PER_HOUR": "1000", "TOKENS_PER_SESSION": "1000", "TOKENS_PER_ADDRESS": "1000", "NOTIFY_KEY": "", "PUBLIC_URL": "",
		"DB_AUTH": "password", "USERS_PASSWORD": made.UsersDbPassword,
		"EVENTS_TABLE": "events", "INDEX_TABLE": "event-index", "PROFILES_TABLE": "profiles", "OUTBOX_DAYS": "90",
		"USERS_DSN":   "postgres://users_service@host.docker.internal:" + database.Port() + "/users?sslmode=disable",
		"SIGNING_KEY": made.SigningKey, "ADMIN_PASSWORD": stack.Info.Admin.Password,
	}
}
