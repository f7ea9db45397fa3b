package part

import (
	"regexp"
	"strings"
)

// ARNLike is IAM's ArnLike: * and ? within each of the six parts.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func ARNLike(pattern, arn string) bool {
	patterns, parts := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	if len(patterns) != len(parts) {
		return false
	}
	for i, part := range parts {
		if !Like(patterns[i], part) {
			return false
		}
	}
	return true
}

// Like is IAM's StringLike: * stands for any characters, ? for one.
func Like(pattern, text string) bool {
	quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	ok, err := regexp.MatchString(`\A(?s:`+quoted+`)\z`, text)
	return err == nil && ok
}
