// Package ddb keeps the audit log, the wakes of the relay, the users' profiles and the
// claims on mails in DynamoDB. Its tables are in template.yaml.
package ddb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/guregu/dynamo/v2"

	"plaudit/shared/fault"
)

const (
	// attempts is how often a request is sent. It must not be 1: a connection that the
	// server has just closed fails now and then.
	attempts = 5
	// longestPause is the longest time between two attempts.
	longestPause = time.Second
	// connections are kept for the next requests, so that those that run at the same
	// time need no new ones.
	connections = 32
	// dialTime bounds a connection's making, answerTime the wait for an answer.
	dialTime, answerTime = 2 * time.Second, 5 * time.Second
	retryAfter           = time.Second
)

// open returns a client. A retry may find what the attempt before it wrote, so each
// write is conditional on its own result or can be repeated.
func open(cfg aws.Config) *dynamo.DB {
	cfg = cfg.Copy()
	cfg.HTTPClient = awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTime }).
		WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost, t.MaxIdleConns = connections, connections
			t.ResponseHeaderTimeout = answerTime
		})
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, longestPause })
	}
	return dynamo.New(cfg)
}

// check returns an error unless the tables exist and have these keys.
func check(ctx context.Context, tables ...keyed) error {
	for _, t := range tables {
		d, err := t.Describe().Run(ctx)
		var missing *types.ResourceNotFoundException
		switch {
		case errors.As(err, &missing):
			return fmt.Errorf("the table %s does not exist: deploy template.yaml, or correct %s", t.Name(), t.variable)
		case err != nil:
			return fmt.Errorf("describe the table %s: %w", t.Name(), err)
		case d.HashKey != t.hash || d.RangeKey != t.sort:
			return fmt.Errorf("the table %s of %s has the keys %q and %q, but must have %q and %q", t.Name(), t.variable, d.HashKey, d.RangeKey, t.hash, t.sort)
		}
	}
	return nil
}

// keyed is a table with the names of its keys, and the variable that names the table.
type keyed struct {
	dynamo.Table
	hash, sort, variable string
}

// wrap returns a fault for an error that a retry can solve, and every other error
// unchanged.
func wrap(err error) error {
	if err == nil || !unavailable(err) {
		return err
	}
	return &fault.Error{
		Kind:       fault.DatabaseUnavailable,
		Detail:     "The audit log cannot be reached right now, or does not answer in time. Repeat the request after a second; an event is kept once, by its source and id.",
		RetryAfter: retryAfter,
		Cause:      err,
	}
}

func unavailable(err error) bool {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		var request *awshttp.ResponseError // an answer that is not DynamoDB's
		return errors.As(err, &request) && request.HTTPStatusCode() >= 500
	}
	if _, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; throttled {
		return true
	}
	return api.ErrorFault() == smithy.FaultServer || api.ErrorCode() == "InternalServerError" || api.ErrorCode() == "ServiceUnavailable"
}
