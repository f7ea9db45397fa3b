package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// mailRules are the rules of the template whose target is the queue mail, by the word
// with which their names and logical ids begin, behind the stack's name. The word is
// also what their messages have as "rule".
var mailRules = []string{"told", "security", "links", feedbackRule}

const feedbackRule = "feedback"

// ruleBody returns what a rule would have sent for an event that EventBridge could not
// deliver. A dead-letter queue gets the event itself, and not what the rule's input
// transformer makes of it; so this does what the transformers in template.yaml do. The
// event of an unknown rule stays as it is.
func ruleBody(stack, ruleARN, event string) (string, error) {
	name := ruleARN[strings.LastIndexByte(ruleARN, '/')+1:]
	short := strings.ToLower(strings.TrimPrefix(name, stack+"-"))
	for _, rule := range mailRules {
		if !strings.HasPrefix(short, rule) {
			continue
		}
		var whole struct{ Detail json.RawMessage }
		if json.Unmarshal([]byte(event), &whole) != nil || whole.Detail == nil {
			return "", errors.New("its body is not an event of a bus")
		}
		if rule == feedbackRule {
			return feedbackBody(whole.Detail)
		}
		return `{"rule":"` + rule + `","event":` + event + `}`, nil
	}
	return event, nil
}

// feedbackBody returns what the queue gets of an event of SES. Addresses stay out of it.
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
func feedbackBody(detail []byte) (string, error) {
	var in struct {
		EventType string
		Bounce    struct{ BounceType string }
		Mail      struct {
			MessageID string
			Tags      struct{ User []string }
		}
	}
	if err := json.Unmarshal(detail, &in); err != nil {
		return "", errors.New("its body is not an event of SES")
	}
	user := ""
	if len(in.Mail.Tags.User) > 0 {
		user = in.Mail.Tags.User[0]
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Rule    string `json:"rule"`
		Type    string `json:"type"`
		Bounce  string `json:"bounce"`
		User    string `json:"user"`
		Message string `json:"message"`
	}{feedbackRule, in.EventType, in.Bounce.BounceType, user, in.Mail.MessageID})
	return strings.TrimSuffix(out.String(), "\n"), err
}
