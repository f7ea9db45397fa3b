package eventbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"plaudit/local/lambda"
	"plaudit/local/part"
	"plaudit/local/pattern"
	"plaudit/local/schedule"
)

// errStopped is the error of what comes after Stop or before Start.
var errStopped = errors.New("the event buses do not run")

// failure is why an attempt failed.
type failure struct {
	Code    string `json:"code"` // of those that a dead-letter queue gets
	Message string `json:"message"`
	Final   bool   `json:"final,omitempty"` // another attempt would fail too
}

// The codes of failures.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
const (
	connectionFailure = "CONNECTION_FAILURE"
	errorFromTarget   = "ERROR_FROM_TARGET"
	invalidJSON       = "INVALID_JSON"
	invalidParameter  = "INVALID_PARAMETER"
	noPermissions     = "NO_PERMISSIONS"
	noResource        = "NO_RESOURCE"
	thirdHop          = "THIRD_ACCOUNT_HOP_DETECTED"
	throttling        = "THROTTLING"
	timedOut          = "TIMEOUT"
)

// The pauses before the second attempt and the longest one. Each is shortened by up to a
// half, at random. The service does not document its own.
var (
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Minute
)

func pause(attempts int) time.Duration {
	p := longestPause
	if shift := attempts - 1; shift < 20 {
		p = min(p, firstPause<<shift)
	}
	return p/2 + rand.N(p/2+1)
}

// attemptLimit is how long an attempt may take. The endpoint holds requests for an engine
// that starts again.
const attemptLimit = 30 * time.Second

// laneWidth is how many deliveries to one target are under way at once.
const laneWidth = 8

// lane is the queue of deliveries to one target of a rule.
type lane struct {
	service *Service

	mu      sync.Mutex
	queue   []*delivery
	running int
	open    bool
}

// submit puts deliveries into their lanes.
func (s *Service) submit(deliveries []*delivery) {
	s.laneMu.Lock()
	defer s.laneMu.Unlock()
	for _, d := range deliveries {
		key := d.rule + " " + d.target
		l := s.lanes[key]
		if l == nil {
			l = &lane{service: s, open: s.open}
			s.lanes[key] = l
		}
		l.add(d)
	}
}

func (l *lane) add(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, d)
	l.widen()
}

func (l *lane) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
	l.widen()
}

// stop makes the lane's workers end after the delivery that each of them has.
func (l *lane) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = false
}

// widen starts workers if the lane is open and needs more. mu is held.
func (l *lane) widen() {
	for l.open && l.running < min(laneWidth, len(l.queue)) {
		l.running++
		l.service.work.Go(l.run)
	}
}

func (l *lane) run() {
	for {
		l.mu.Lock()
		if !l.open || len(l.queue) == 0 {
			l.running--
			l.mu.Unlock()
			return
		}
		d := l.queue[0]
		l.queue[0] = nil // the array keeps what is taken
		l.queue = l.queue[1:]
		l.mu.Unlock()
		l.service.attempt(d, l)
	}
}

// attempt delivers once, and arranges what follows.
func (s *Service) attempt(d *delivery, l *lane) {
	s.mu.RLock()
	r := s.rule(d.rule)
	var t *target
	if r != nil {
		for i := range r.targets {
			if r.targets[i].id == d.target {
				one := r.targets[i]
				t = &one
			}
		}
	}
	var copied rule
	if r != nil {
		copied = *r
	}
	journal := s.journal
	s.mu.RUnlock()
	if journal == nil {
		return
	}
	log := s.laptop.Log.With("rule", d.rule, "target", d.target)
	done := func() {
		if err := journal.done(d); err != nil && !errors.Is(err, errStopped) {
			log.Error("an event may be delivered again at the next start: EventBridge cannot note that it is delivered", "error", err)
		}
	}
	if t == nil {
		log.Error("an event is dropped, because the stack no longer has the target", "event", shorten(d.event.text))
		done()
		return
	}
	again := func(after time.Duration) {
		// A lane that is closed by then leaves it to the journal and the next start.
		time.AfterFunc(after, func() { l.add(d) })
	}
	note := func(attempts int, f failure, dead bool) {
		if err := journal.tried(d, attempts, f, dead); err != nil && !errors.Is(err, errStopped) {
			log.Error("EventBridge cannot note an attempt", "error", err)
		}
	}
	if !d.dead {
		handed, err := s.hand(d, &copied, *t, done)
		if handed {
			return
		}
		if err == nil {
			done()
			return
		}
		f := failureOf(err)
		if errors.Is(err, lambda.ErrClosed) {
			return // it comes again at the next start
		}
		attempts := d.attempts + 1
		after := pause(attempts)
		exhausted := attempts > t.retries || time.Since(d.event.received)+after > t.age
		log.Debug("a delivery failed", "attempt", attempts, "code", f.Code, "error", f.Message)
		if !f.Final && !exhausted {
			note(attempts, f, false)
			again(after)
			return
		}
		note(attempts, f, true)
	}
	if t.deadLetter == "" {
		log.Error("an event could not be delivered and is dropped: the target has no dead-letter queue", "code", d.failure.Code, "reason", d.failure.Message, "event", shorten(d.event.text))
		done()
		return
	}
	err := s.sender.send(t.deadLetter, string(d.event.text), deadLetterAttributes(d, *t))
	switch f := failureOf(err); {
	case err == nil:
		log.Warn("an event could not be delivered and is in the dead-letter queue", "code", d.failure.Code, "reason", d.failure.Message)
		done()
	case f.Final:
		log.Error("an event could not be delivered, nor sent to the dead-letter queue, and is dropped", "code", f.Code, "reason", f.Message, "event", shorten(d.event.text))
		done()
	default:
		again(pause(10))
	}
}

// deadLetterAttributes returns what the service says of an event in a dead-letter queue.
func deadLetterAttributes(d *delivery, t target) map[string]string {
	out := map[string]string{"RULE_ARN": d.rule, "TARGET_ARN": t.arn, "ERROR_CODE": d.failure.Code, "ERROR_MESSAGE": d.failure.Message}
	if d.failure.Final {
		return out
	}
	out["RETRY_ATTEMPTS"] = strconv.Itoa(d.attempts - 1)
	out["EXHAUSTED_RETRY_CONDITION"] = "MaximumEventAgeInSeconds"
	if d.attempts > t.retries {
		out["EXHAUSTED_RETRY_CONDITION"] = "MaximumRetryAttempts"
	}
	return out
}

// shorten returns the beginning of an event for a line of the log.
func shorten(event []byte) string {
	const most = 500
	if len(event) <= most {
		return string(event)
	}
	return strings.ToValidUTF8(string(event[:most]), "") + "…"
}

// hand hands the input for a target over to it. handed means that done is called later.
func (s *Service) hand(d *delivery, r *rule, t target, done func()) (handed bool, err error) {
	body, err := t.input.of(d.event.text, r, d.event.received)
	if err != nil {
		return false, fault{invalidJSON, err, true}
	}
	switch {
	case strings.Contains(t.arn, ":lambda:"):
		if !json.Valid(body) {
			return false, fault{invalidJSON, fmt.Errorf("%w: a function takes JSON only", errInvalidJSON), true}
		}
		f, ok := s.functions.Function(t.arn)
		if !ok {
			return false, fault{noResource, fmt.Errorf("the function %s does not exist", t.arn), true}
		}
		err := f.InvokeKept(body, done)
		switch {
		case errors.Is(err, lambda.ErrThrottled):
			return false, fault{throttling, err, false}
		case err != nil && !errors.Is(err, lambda.ErrClosed):
			return false, fault{invalidParameter, err, true}
		}
		return err == nil, err
	case strings.Contains(t.arn, ":event-bus/"):
		if d.event.hops > 0 {
			return false, fault{thirdHop, errors.New("an event passes from a bus to another one once only"), true}
		}
		return false, s.take(busName(t.arn), []incoming{{text: d.event.text, received: time.Now(), hops: d.event.hops + 1}}, "", nil)
	}
	return false, s.sender.send(t.arn, string(body), nil)
}

// fault is an error with the code of a failure.
type fault struct {
	code  string
	err   error
	final bool
}

func (f fault) Error() string { return f.err.Error() }

func (f fault) Unwrap() error { return f.err }

// maxMessage is how much of an error a dead-letter queue gets.
const maxMessage = 1024

func failureOf(err error) failure {
	if err == nil {
		return failure{}
	}
	out := failure{Code: errorFromTarget, Message: err.Error()}
	var known fault
	var network net.Error
	switch {
	case errors.As(err, &known):
		out.Code, out.Final = known.code, known.final
	case errors.As(err, &network) && network.Timeout():
		out.Code = timedOut
	case errors.As(err, &network):
		out.Code = connectionFailure
	}
	if len(out.Message) > maxMessage {
		out.Message = strings.ToValidUTF8(out.Message[:maxMessage], "")
	}
	return out
}

// sender sends messages to queues, through the one endpoint, which waits for an engine
// that starts again. It does without the SDK, which loses an answer of a fast local server
// now and then, sends again, and so doubles the message.
type sender struct {
	client   *http.Client
	endpoint string
}

func newSender(l part.Laptop) sender {
	return sender{&http.Client{
		Timeout:   attemptLimit,
		Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 4 * laneWidth, IdleConnTimeout: 30 * time.Second},
	}, l.Endpoint}
}

// send sends a message to the queue with an ARN.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
func (s sender) send(queueARN, body string, attributes map[string]string) error {
	type attribute struct{ DataType, StringValue string }
	in := struct {
		QueueURL          string `json:"QueueUrl"`
		MessageBody       string
		MessageAttributes map[string]attribute `json:",omitempty"`
	}{MessageBody: body, MessageAttributes: map[string]attribute{}}
	parts := strings.Split(queueARN, ":") // arn:aws:sqs:region:account:name
	in.QueueURL = s.endpoint + "/" + parts[len(parts)-2] + "/" + parts[len(parts)-1]
	for name, value := range attributes {
		in.MessageAttributes[name] = attribute{"String", value}
	}
	request, err := http.NewRequest(http.MethodPost, s.endpoint, bytes.NewReader(encode(in)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || response.StatusCode == http.StatusOK {
		return err
	}
	return refusal(response.StatusCode, answer)
}

// refusal returns the error of an answer of SQS.
func refusal(status int, answer []byte) error {
	var in struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(answer, &in) // the status remains
	err := fmt.Errorf("%s: HTTP status %d: %s", in.Type, status, in.Message)
	switch {
	case strings.Contains(in.Type, "QueueDoesNotExist"), strings.Contains(in.Type, "NonExistentQueue"):
		return fault{noResource, err, true}
	case strings.Contains(in.Type, "AccessDenied"):
		return fault{noPermissions, err, true}
	case status == http.StatusTooManyRequests:
		return fault{throttling, err, false}
	case status/100 == 4:
		return fault{invalidParameter, err, true}
	}
	return fault{errorFromTarget, err, false}
}

// take keeps events of one bus, and has them delivered where its rules say. For a replay,
// it delivers to the rules in only (all of them if it is empty), and archives nothing.
func (s *Service) take(bus string, events []incoming, replay string, only []string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.journal == nil {
		return errStopped
	}
	archived := map[*archive][][]byte{}
	for i := range events {
		document, err := pattern.Decode(events[i].text)
		if err != nil {
			return err
		}
		events[i].routes = s.routes(bus, document, only)
		if replay != "" {
			continue
		}
		for _, a := range s.archives {
			if a.takes(s.busARN(bus), document) {
				archived[a] = append(archived[a], events[i].text)
			}
		}
	}
	for a, texts := range archived {
		if err := a.add(time.Now(), texts); err != nil {
			return fmt.Errorf("archive %s: %w", a.name, err)
		}
	}
	deliveries, err := s.journal.add(events)
	if err != nil {
		return err
	}
	s.submit(deliveries)
	return nil
}

// routes returns the targets of the rules that an event matches.
func (s *Service) routes(bus string, event pattern.Document, only []string) (out []route) {
	for _, r := range s.rules {
		if r.bus != bus || r.disabled || r.pattern == nil || len(only) > 0 && !slices.Contains(only, r.arn) || !r.pattern.Matches(event) {
			continue
		}
		for _, t := range r.targets {
			out = append(out, route{r.arn, t.id})
		}
	}
	return out
}

// fire sends the event of a schedule to the rule's targets.
func (s *Service) fire(r *rule, now time.Time) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.journal == nil || r.disabled {
		return
	}
	event := incoming{text: schedule.Event(s.laptop.Names, r.arn, now), received: now}
	for _, t := range r.targets {
		event.routes = append(event.routes, route{r.arn, t.id})
	}
	deliveries, err := s.journal.add([]incoming{event})
	if err != nil {
		s.laptop.Log.Error("a schedule's event is lost", "rule", r.arn, "error", err)
		return
	}
	s.submit(deliveries)
}
