// Package mailtest has a stand-in for the SES API that keeps what it is sent, and can
// refuse it as SES does.
package mailtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Mail is a mail that was sent.
type Mail struct {
	From, To, ConfigurationSet string
	Subject, Text, HTML        string
	Headers, Tags              map[string]string
}

// Answer is what the stand-in does with a request instead of taking the mail. The zero
// value takes it.
type Answer struct {
	Status     int // of an error
	Code       string
	Message    string
	Lost       bool // the mail is taken, and the connection ends without an answer
	Incomplete bool // the mail is taken, and the answer's body breaks off
}

// The refusals of SES
// (https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html).
var (
	Rate       = Answer{Status: 429, Code: "TooManyRequestsException", Message: "Maximum sending rate exceeded."}
	Quota      = Answer{Status: 429, Code: "TooManyRequestsException", Message: "Daily message quota exceeded."}
	Unverified = Answer{Status: 400, Code: "MessageRejected", Message: "Email address is not verified. The following identities failed the check in region AP-NORTHEAST-2: scores@example.com"}
	Internal   = Answer{Status: 500, Code: "InternalServiceErrorException", Message: "An error occurred."}
)

// Server is the stand-in.
type Server struct {
	URL string

	mu       sync.Mutex
	mails    []Mail
	answers  []Answer
	requests int
}

// New starts the stand-in.
func New(t testing.TB) *Server {
	s := &Server{}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// Next sets the answers to the next requests. Those after them take the mail.
func (s *Server) Next(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answers
}

// Mails returns the mails that were taken since the last call.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	mails := s.mails
	s.mails = nil
	return mails
}

// Requests returns how many requests there were since the last call.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.requests
	s.requests = 0
	return n
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	type content struct{ Data, Charset string }
	var in struct {
		FromEmailAddress, ConfigurationSetName string
		Destination                            struct{ ToAddresses []string }
		Content                                struct {
			Simple struct {
				Subject content
				Body    struct{ Text, Html content }
				Headers []struct{ Name, Value string }
			}
		}
		EmailTags []struct{ Name, Value string }
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v2/email/outbound-emails" || json.NewDecoder(r.Body).Decode(&in) != nil || len(in.Destination.ToAddresses) != 1 {
		http.Error(w, "not a SendEmail that this server knows", http.StatusNotImplemented)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	var a Answer
	if len(s.answers) > 0 {
		a, s.answers = s.answers[0], s.answers[1:]
	}
	w.Header().Set("Content-Type", "application/json")
	if a.Status != 0 {
		w.Header().Set("X-Amzn-Errortype", a.Code)
		w.WriteHeader(a.Status)
		json.NewEncoder(w).Encode(map[string]string{"message": a.Message})
		return
	}
	m := Mail{
		From: in.FromEmailAddress, To: in.Destination.ToAddresses[0], ConfigurationSet: in.ConfigurationSetName,
		Subject: in.Content.Simple.Subject.Data, Text: in.Content.Simple.Body.Text.Data, HTML: in.Content.Simple.Body.Html.Data,
		Headers: map[string]string{}, Tags: map[string]string{},
	}
	for _, h := range in.Content.Simple.Headers {
		m.Headers[h.Name] = h.Value
	}
	for _, t := range in.EmailTags {
		m.Tags[t.Name] = t.Value
	}
	s.mails = append(s.mails, m)
	switch {
	case a.Lost:
		panic(http.ErrAbortHandler)
	case a.Incomplete:
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, `{"Mess`)
	default:
		fmt.Fprintf(w, `{"MessageId": "mail-%d"}`, s.requests)
	}
}
