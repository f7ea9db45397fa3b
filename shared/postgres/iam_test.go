package postgres_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plaudit/shared/postgres"
	"plaudit/shared/postgres/pgtest"
)

// authority makes certificates that only this test knows.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // the certificate in PEM
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return authority{key, cert, file}
}

func (a authority) certificate(t *testing.T, host string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// door imitates the part of RDS that a local server lacks: TLS by an authority of
// its own, and a login that asks for the token as a clear-text password. It accepts
// every login, answers SELECT 1 and records the tokens.
type door struct {
	net.Listener
	cert tls.Certificate

	mu     sync.Mutex
	users  []string
	tokens []string
}

func newDoor(t *testing.T, cert tls.Certificate) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l, cert: cert}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				_ = d.serve(c) // a client may go away
			})
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return d
}

// serve speaks https://www.postgresql.org/docs/current/protocol-flow.html.
func (d *door) serve(c net.Conn) error {
	if _, err := io.ReadFull(c, make([]byte, 8)); err != nil { // SSLRequest
		return err
	}
	if _, err := c.Write([]byte("S")); err != nil {
		return err
	}
	secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{d.cert}})
	r := bufio.NewReader(secure)
	startup, err := readBody(r)
	if err != nil {
		return err
	}
	if _, err := secure.Write(message('R', []byte{0, 0, 0, 3})); err != nil { // cleartext password
		return err
	}
	if _, err := r.ReadByte(); err != nil {
		return err
	}
	password, err := readBody(r)
	if err != nil {
		return err
	}
	parameters := strings.Split(string(startup[4:]), "\x00")
	d.mu.Lock()
	d.users = append(d.users, parameters[1])
	d.tokens = append(d.tokens, strings.TrimRight(string(password), "\x00"))
	d.mu.Unlock()
	idle := message('Z', []byte("I"))
	if _, err := secure.Write(append(message('R', make([]byte, 4)), idle...)); err != nil {
		return err
	}
	for {
		kind, err := r.ReadByte()
		if err != nil {
			return err
		}
		if _, err := readBody(r); err != nil {
			return err
		}
		if kind == 'Q' {
			if _, err := secure.Write(append(message('C', []byte("SELECT 1\x00")), idle...)); err != nil {
				return err
			}
		}
	}
}

func readBody(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < 4 || n > 1<<16 {
		return nil, errors.New("bad length")
	}
	body := make([]byte, n-4)
	_, err := io.ReadFull(r, body)
	return body, err
}

func message(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// dsn logs in through the door under the certificate's name.
func (d *door) dsn(host, roots string) string {
	port := d.Addr().(*net.TCPAddr).Port
	query := url.Values{"sslmode": {"verify-full"}, "hostaddr": {"127.0.0.1"}}
	if roots != "" {
		query.Set("sslrootcert", roots)
	}
	return fmt.Sprintf("postgres://score_add@%s:%d/scores?%s", host, port, query.Encode())
}

func TestEveryConnectionHasATokenOfItsOwn(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	a := newAuthority(t)
	const host = "scores.abc.ap-northeast-2.rds.amazonaws.com"
	d := newDoor(t, a.certificate(t, host))
	db, err := postgres.Open(postgres.Config{DSN: d.dsn(host, a.file), Auth: postgres.IAM, Region: "ap-northeast-2", MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	first, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A token's time is in seconds.
	time.Sleep(1100 * time.Millisecond)
	if err := pgtest.Ping(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pgtest.Ping(t.Context(), db); err != nil { // on one of the two
		t.Fatal(err)
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.tokens) != 2 || d.tokens[0] == d.tokens[1] {
		t.Fatalf("%d tokens for 2 connections, or the same twice", len(d.tokens))
	}
	for i, token := range d.tokens {
		u, err := url.Parse("https://" + token)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		port := d.Addr().(*net.TCPAddr).Port
		if u.Host != fmt.Sprintf("%s:%d", host, port) || q.Get("Action") != "connect" ||
			q.Get("DBUser") != "score_add" || d.users[i] != "score_add" || q.Get("X-Amz-Expires") != "900" {
			t.Errorf("token for %s %s", u.Host, q.Encode())
		}
		if scope := q.Get("X-Amz-Credential"); !strings.HasPrefix(scope, "AKIDEXAMPLE/") ||
			!strings.HasSuffix(scope, "/ap-northeast-2/rds-db/aws4_request") {
			t.Errorf("scope %s", scope)
		}
		if strings.Contains(token, "hush") || len(q.Get("X-Amz-Signature")) != 64 {
			t.Error("the token is not signed")
		}
	}
}

func TestTokenIsShownToTheDatabaseOnly(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	a := newAuthority(t)
	const host = "scores.abc.ap-northeast-2.rds.amazonaws.com"
	d := newDoor(t, a.certificate(t, host))
	for name, dsn := range map[string]string{
		"another name":                d.dsn("users.abc.ap-northeast-2.rds.amazonaws.com", a.file),
		"another authority":           d.dsn(host, newAuthority(t).file),
		"an authority unknown to RDS": d.dsn(host, ""),
	} {
		db, err := postgres.Open(postgres.Config{DSN: dsn, Auth: postgres.IAM, Region: "ap-northeast-2"})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = pgtest.Ping(t.Context(), db)
		unavailable(t, err)
		var invalid *tls.CertificateVerificationError
		if !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(d.tokens) != 0 {
		t.Errorf("%d tokens were sent", len(d.tokens))
	}
}
