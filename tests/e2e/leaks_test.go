package e2e

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "github.com/lib/pq"

	"plaudit/shared/access"
)

// leaks collects every secret that the tests use. No log may contain one.
var leaks secrets

type secrets struct {
	mu    sync.Mutex
	known map[string]string // what it is, by the secret
}

// note adds a secret. For a token it adds the signature, because a part of a token
// is a leak too.
func (s *secrets) note(what, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]string{}
	}
	parts := strings.Split(secret, ".")
	if last := parts[len(parts)-1]; len(parts) == 3 && len(last) > 40 {
		secret = last // a token's signature
	}
	if len(secret) >= 8 { // a shorter text may be in a log by chance
		s.known[secret] = what
	}
}

var secretField = regexp.MustCompile(`"(password|current_password|access_token|refresh_token|key|email)"\s*:\s*"((?:[^"\\]|\\.)*)"`)

// read notes the secrets of an answer, or of a request that succeeded: a refused
// request may contain any text.
func (s *secrets) read(text string) {
	for _, m := range secretField.FindAllStringSubmatch(text[:min(len(text), 100_000)], -1) {
		if m[1] != "key" || strings.HasPrefix(m[2], "plaudit_") {
			s.note("the "+m[1]+" of a request or an answer", m[2])
		}
	}
}

// shapes describe texts that look like a secret, even an unknown one: hint is quick
// to find, and a line with the hint must not match line.
var shapes = []struct {
	what, hint string
	line       *regexp.Regexp
}{
	{"an e-mail address", "@", regexp.MustCompile(`[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]@[A-Za-z0-9-]+\.[A-Za-z]`)},
	{"an e-mail address", "%40", regexp.MustCompile(`%40[A-Za-z0-9-]+\.[A-Za-z]`)},
	{"a token", "eyJ", regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}\.`)},
	{"an API key", "plaudit_", regexp.MustCompile(`plaudit_[A-Za-z0-9_-]{43}`)},
	{"a password's hash", "$argon2", regexp.MustCompile(`\$argon2`)},
	{"a private key", "PRIVATE KEY", regexp.MustCompile(`PRIVATE KEY`)},
	{"a private key", "MII", regexp.MustCompile(`MII[A-Za-z0-9+/]{40,}`)},
	{"a database's URL", "postgres", regexp.MustCompile(`postgres(ql)?://[^ :/@]+:[^ @]+@`)},
}

// without returns the secrets that are no part of some texts, which tests send as
// passwords, too.
func (s *secrets) without(texts []string) *secrets {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := &secrets{known: map[string]string{}}
	for secret, what := range s.known {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(quote(text), secret) || strings.Contains(text, secret) }) {
			rest.known[secret] = what
		}
	}
	return rest
}

// in returns the secrets in a log: what each is, and its line without the secret.
func (s *secrets) in(log []byte) (found []string) {
	lineAt := func(at int) []byte {
		begin := bytes.LastIndexByte(log[:at], '\n') + 1
		if length := bytes.IndexByte(log[at:], '\n'); length >= 0 {
			return log[begin : at+length]
		}
		return log[begin:]
	}
	report := func(what string, line, secret []byte) {
		found = append(found, fmt.Sprintf("%s: %.400s", what, bytes.ReplaceAll(line, secret, []byte("[…]"))))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// One pass for all secrets, by their first eight bytes.
	byBeginning := map[uint64][]string{}
	for secret := range s.known {
		beginning := binary.BigEndian.Uint64([]byte(secret))
		byBeginning[beginning] = append(byBeginning[beginning], secret)
	}
	told := map[string]bool{}
	var last8 uint64
	for i, c := range log {
		last8 = last8<<8 | uint64(c)
		for _, secret := range byBeginning[last8] {
			if i >= 7 && !told[secret] && bytes.HasPrefix(log[i-7:], []byte(secret)) {
				told[secret] = true
				report(s.known[secret], lineAt(i), []byte(secret))
			}
		}
	}
	for _, shape := range shapes {
		for at := 0; ; {
			next := bytes.Index(log[at:], []byte(shape.hint))
			if next < 0 {
				break
			}
			line := lineAt(at + next)
			if secret := shape.line.Find(line); secret != nil {
				report("what looks like "+shape.what, line, secret)
				break
			}
			at += next + max(1, len(line)-bytes.Index(line, []byte(shape.hint)))
		}
	}
	return found
}

// noteFiles notes the secrets that the stack keeps in files.
func (l *checkout) noteFiles() error {
	text, err := os.ReadFile(l.File("secrets.json"))
	if err != nil {
		return err
	}
	made := regexp.MustCompile(`"(SigningKey|AdminPassword|ScoresDbPassword|UsersDbPassword)": "([^"]+)"`).FindAllSubmatch(text, -1)
	if len(made) != 4 {
		return fmt.Errorf("secrets.json has %d of 4 secrets", len(made))
	}
	for _, m := range made {
		for line := range strings.SplitSeq(string(m[2]), `\n`) {
			leaks.note(string(m[1]), line)
		}
	}
	for name, db := range l.Info.Databases {
		leaks.note("the URL of the database "+name, db.URL)
	}
	return nil
}

// searchLogs returns an error if the stack's log contains a secret that the tests
// used, or a text that looks like one. It is called after all tests, when the stack
// has ended.
func (l *checkout) searchLogs() error {
	if err := l.noteFiles(); err != nil {
		return err
	}
	log, err := os.ReadFile(l.File("laptop.log"))
	if err != nil {
		return err
	}
	old, _ := os.ReadFile(l.File("laptop.log") + ".old") // exists if the file was full
	if found := leaks.in(slices.Concat(l.kept.Bytes(), old, log, l.Log.Bytes())); len(found) > 0 {
		return fmt.Errorf("the log contains\n%s", strings.Join(found, "\n"))
	}
	return nil
}

// The search above proves something only if it finds secrets.
func TestSecretsInALogAreFound(t *testing.T) {
	var s secrets
	s.read(`{"email": "jin@example.com", "password": "correct horse \"battery\""}`)
	s.read(`{"access_token":"aaaaaaaaaa.bbbbbbbbbbbbbbbb.0123456789012345678901234567890123456789_","refresh_token":"r-012345678901234567890123"}`)
	s.read(`{"id": "x", "key": "plaudit_012345"}`)
	for _, line := range []string{
		`level=INFO msg="refused jin@example.com"`, `"password":"correct horse \"battery\""`, `x 0123456789012345678901234567890123456789_ y`,
		`token=r-012345678901234567890123`, `key plaudit_012345!`,
		`?email=ann%40example.org`, `Bearer eyJhbGciOiJSUzI1NiJ9.e30.x`, `-----BEGIN PRIVATE KEY-----`, `hash=$argon2id$v=19$m=1`, `dsn=postgres://u:p@h/d`,
	} {
		if found := s.in([]byte("before\n" + line + "\nafter\n")); len(found) == 0 {
			t.Errorf("not found in: %s", line)
		}
	}
	if found := s.in([]byte(`2026-01-01 users {"level":"INFO","route":"GET /v1/users/{id}"} users_service@users`)); len(found) > 0 {
		t.Errorf("found a secret in a line without one: %s", found)
	}
}

// A database logs slow statements. The log must not contain personal data.
func TestSlowStatementsContainNoPersonalData(t *testing.T) {
	me := person(t, access.Member)
	before, err := os.ReadFile(stack.File("laptop.log"))
	if err != nil {
		t.Fatal(err)
	}
	owner, err := url.Parse(stack.Info.Databases["users"].URL)
	if err != nil {
		t.Fatal(err)
	}
	owner.User = url.UserPassword("db_migrate", secret(t, "UsersDbPassword"))
	db, err := sql.Open("postgres", owner.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The address is taken by a transaction that has not ended, so the sign-up's
	// statement waits, with the person's data in it.
	email := unique("slow") + "@example.com"
	if _, err := tx.ExecContext(t.Context(), `
		INSERT INTO users
		SELECT (jsonb_populate_record(u, jsonb_build_object('id', gen_random_uuid(), 'email', $2::text, 'email_key', $2::text))).*
		FROM users u WHERE id = $1`, me.id, email); err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() {
		a, _ := try("POST", "/v1/users", "", fmt.Sprintf(`{"email": %q, "password": %q, "display_name": "Slow"}`, email, password))
		answered <- a.status
	}()
	operator, err := sql.Open("postgres", stack.Info.Databases["users"].URL)
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	eventually(t, "the sign-up has waited longer than log_min_duration_statement", func() bool {
		var slow bool
		if err := operator.QueryRowContext(t.Context(), `
			SELECT count(*) > 0 FROM pg_stat_activity
			WHERE usename = 'users_service' AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '1100 ms'`).Scan(&slow); err != nil {
			t.Fatal(err)
		}
		return slow
	})
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != 201 {
		t.Errorf("the sign-up that waited: %d", status)
	}
	slow := regexp.MustCompile(`duration: \d{4,}\.\d+ ms `)
	var log []byte
	eventually(t, "the database has logged the slow statement", func() bool {
		log, err = os.ReadFile(stack.File("laptop.log"))
		if err != nil {
			t.Fatal(err)
		}
		log = log[len(before):]
		return slow.Match(log)
	})
	if found := leaks.in(log); len(found) > 0 {
		t.Errorf("the log holds\n%s", strings.Join(found, "\n"))
	}
}
