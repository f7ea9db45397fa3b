package main

import (
	"encoding/json"
	"errors"
	"strings"
)

// mailRules are the rules of the template whose target is the queue mail, by the word
// with which their names and logical ids begin, behind the stack's name. The word is
// also what their messages have as "rule". FeedbackRule has no dead-letter queue.
var mailRules = []string{"told", "security", "links"}

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
		return `{"rule":"` + rule + `","event":` + event + `}`, nil
	}
	return event, nil
}
