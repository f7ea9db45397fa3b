package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"plaudit/local/part"
)

// policy is a policy of queues. The laptop's queues take messages from everybody, but
// a service of AWS that sends to a queue checks its policy before anything starts.
type policy struct {
	queues     []string // URLs
	statements []statement
}

// statement is a statement of a policy.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
type statement struct {
	Effect    string
	Principal principal
	Action    oneOrMore
	Resource  oneOrMore
	Condition map[string]map[string]oneOrMore
}

// oneOrMore is text or a list of texts.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// principal is the services that a statement is about, or * for everybody.
type principal []string

func (p *principal) UnmarshalJSON(text []byte) error {
	var everybody string
	if json.Unmarshal(text, &everybody) == nil {
		*p = principal{everybody}
		return nil
	}
	var in struct{ Service, AWS oneOrMore }
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*p = principal(in.Service)
	if slices.Contains(in.AWS, "*") {
		*p = append(*p, "*")
	}
	return nil
}

func readPolicy(document map[string]any) ([]statement, error) {
	list, ok := document["Statement"].([]any)
	if one := document["Statement"]; !ok && one != nil {
		list = []any{one}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var out []statement
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("it must be a list of statements: %w", err)
	}
	for _, one := range out {
		if one.Effect != "Allow" && one.Effect != "Deny" {
			return nil, errors.New("each Effect must be Allow or Deny")
		}
	}
	return out, nil
}

// MaySend returns whether the stack has a queue and, if so, nil or an error that names
// the statement by which a service, the principal, may send messages to it for one of its
// resources, the source. It is complete after every Read.
func (s *Service) MaySend(queueARN, principal, source string) (ok bool, missing error) {
	i := slices.IndexFunc(s.queues, func(q queue) bool { return s.arn(q.name) == queueARN })
	if i < 0 {
		return false, nil
	}
	allowed := false
	for _, p := range s.policies {
		if !slices.Contains(p.queues, s.url(s.queues[i].name)) {
			continue
		}
		for _, one := range p.statements {
			if !one.covers(queueARN, principal, map[string]string{"aws:sourcearn": source, "aws:sourceaccount": s.laptop.AccountID, "aws:securetransport": "true"}) {
				continue
			}
			if one.Effect == "Deny" {
				return true, fmt.Errorf("the policy of %s denies %s to send messages for %s; remove that statement", s.queues[i].id, principal, source)
			}
			allowed = true
		}
	}
	if allowed {
		return true, nil
	}
	return true, fmt.Errorf("%s may not send messages to the queue %s for %s; add an AWS::SQS::QueuePolicy of the queue with {Effect: Allow, Principal: {Service: %s}, Action: sqs:SendMessage, Resource: %s, Condition: {ArnEquals: {aws:SourceArn: %s}}}",
		principal, s.queues[i].id, source, principal, queueARN, source)
}

// covers reports whether the statement is about messages that a service sends to a
// queue. Keys of the context are in lower case.
func (s statement) covers(queueARN, service string, context map[string]string) bool {
	if !slices.Contains(s.Principal, service) && !slices.Contains(s.Principal, "*") {
		return false
	}
	if !slices.ContainsFunc(s.Action, func(a string) bool { return part.Like(strings.ToLower(a), "sqs:sendmessage") }) ||
		!slices.ContainsFunc(s.Resource, func(r string) bool { return r == "*" || part.ARNLike(r, queueARN) }) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, wanted := range keys {
			value, known := context[strings.ToLower(key)]
			if !known || !slices.ContainsFunc(wanted, func(want string) bool { return satisfies(operator, want, value) }) {
				return false
			}
		}
	}
	return true
}

// satisfies compares a value of a condition with one of the context. Operators that
// queues' policies do not need are never satisfied.
func satisfies(operator, want, value string) bool {
	switch operator {
	case "ArnEquals", "ArnLike":
		return part.ARNLike(want, value)
	case "StringEquals":
		return want == value
	case "StringLike":
		return part.Like(want, value)
	case "Bool":
		return strings.EqualFold(want, value)
	}
	return false
}
