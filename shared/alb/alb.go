// Package alb serves an http.Handler from a Lambda behind an Application Load
// Balancer. It wraps aws-lambda-go-api-proxy's adapter and corrects its mistakes, so
// that every other package sees what net/http promises.
//
// The event and its answer:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
package alb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"plaudit/shared/edge"
	"plaudit/shared/fault"
)

// maxResponse is the size of the largest answer's JSON, in bytes. The load
// balancer's limit is "1 MB"; this is the smaller reading of that.
const maxResponse = 1_000_000

// Serve answers the load balancer's events with the handler until ctx ends,
// then waits for the invoke in flight, including the sending of its answer. The
// handler's context ends shortly before the invoke's deadline, not with ctx: Lambda
// kills an environment that takes too long to end anyway (after 500 ms).
//
// It returns an error if the program does not run as a Lambda function.
func Serve(ctx context.Context, handler http.Handler) error {
	if err := edge.CheckLambda(); err != nil {
		return err
	}
	s := newServer(handler)
	var inFlight sync.RWMutex
	// The loop never returns: it ends with the process.
	go lambda.StartWithOptions(func(ctx context.Context, event events.ALBTargetGroupRequest) (*answer, error) {
		inFlight.RLock()
		a, err := s.invoke(ctx, event)
		if err != nil {
			inFlight.RUnlock()
			return nil, err
		}
		a.sent = inFlight.RUnlock
		return a, nil
	}, lambda.WithContext(context.WithoutCancel(ctx)), lambda.WithEnableSIGTERM())
	<-ctx.Done()
	inFlight.Lock()
	return nil
}

// answer is an encoded response. It is a reader so that the runtime loop passes
// it on as it is, and calls Close once it has been sent.
type answer struct {
	json bytes.Buffer
	sent func()
}

func (a *answer) Read(p []byte) (int, error) { return a.json.Read(p) }
func (a *answer) ContentType() string        { return "application/json" }
func (a *answer) Close() error               { a.sent(); return nil }

// server is a handler with the adapter around it.
type server struct {
	handler http.Handler
	adapter *httpadapter.HandlerAdapterALB
}

func newServer(handler http.Handler) *server {
	s := &server{handler: handler}
	s.adapter = httpadapter.NewALB(http.HandlerFunc(s.serve))
	return s
}

// invoke answers one event. Only an event that no load balancer sends is an
// error; a client's mistake is a response.
func (s *server) invoke(ctx context.Context, event events.ALBTargetGroupRequest) (*answer, error) {
	if event.RequestContext.ELB.TargetGroupArn == "" {
		return nil, errors.New("not an event of a load balancer: requestContext.elb.targetGroupArn is missing")
	}
	if event.HTTPMethod == "" {
		return nil, errors.New("not an event of a load balancer: httpMethod is missing")
	}
	ctx, cancel := edge.WithReserve(ctx)
	defer cancel()
	multiValue := event.MultiValueHeaders != nil
	x := newExchange(&event)
	// x passes what the adapter would change.
	response, err := s.adapter.ProxyWithContext(context.WithValue(ctx, exchangeKey{}, x), event)
	if err != nil {
		return nil, fmt.Errorf("the load balancer's event: %w", err)
	}
	a := &answer{sent: func() {}}
	if err := a.encode(response, multiValue); err != nil {
		return nil, err
	}
	if size := a.json.Len(); size > maxResponse {
		slog.ErrorContext(x.ctx, "the response is over the load balancer's limit", "bytes", size, "limit", maxResponse)
		rec := &recorder{header: response.MultiValueHeaders}
		rec.fail(x.ctx, fault.New(fault.Internal, "The response exceeds the load balancer's limit of 1 MB. Request less at once."))
		response.StatusCode, response.IsBase64Encoded, response.Body = rec.status, false, rec.body.String()
		response.MultiValueHeaders = rec.sent
		a.json.Reset()
		if err := a.encode(response, multiValue); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// encode writes the response in the event's header form: the load balancer
// treats the other form as a malformed answer.
func (a *answer) encode(response events.ALBTargetGroupResponse, multiValue bool) error {
	response.StatusDescription = strings.TrimSpace(strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode))
	if !multiValue {
		response.Headers = make(map[string]string, len(response.MultiValueHeaders))
		for name, values := range response.MultiValueHeaders {
			// Lines may be joined (RFC 9110, 5.3), except for cookies: a second
			// cookie needs the multi-value form.
			if name == "Set-Cookie" {
				values = values[len(values)-1:]
			}
			response.Headers[name] = strings.Join(values, ", ")
		}
		response.MultiValueHeaders = nil
	}
	enc := json.NewEncoder(&a.json)
	enc.SetEscapeHTML(false) // it would make six bytes of each < in a body
	if err := enc.Encode(response); err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	a.json.Truncate(a.json.Len() - 1) // the encoder's newline
	return nil
}
