package ses

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Settings are what tests switch on. They are in memory: a new run begins without any.
type Settings struct {
	// ThrottlePerSecond is how many recipients get mail in a second; further mail is
	// refused.
	ThrottlePerSecond *int `json:"throttle_per_second"`
	// FailNext are refusals of the next mails, one after the other.
	FailNext failures `json:"fail_next"`
	// DailyQuota is how many recipients got mail in the last 24 hours of this run when
	// further mail is refused.
	DailyQuota *int `json:"daily_quota"`
	// Bounce, Complain and Suppress are addresses whose mail bounces or is called spam,
	// and those that are on the suppression list.
	Bounce   []string `json:"bounce"`
	Complain []string `json:"complain"`
	Suppress []string `json:"suppress"`
	// Unverified makes every identity unverified.
	Unverified bool `json:"unverified"`
}

// failure refuses Count mails.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Count   int    `json:"count"`
}

type failures []failure

// UnmarshalJSON takes a list of failures, or a number, which throttles that many mails.
func (f *failures) UnmarshalJSON(text []byte) error {
	var count int
	if json.Unmarshal(text, &count) == nil {
		*f = nil
		if count != 0 { // the check finds negative ones
			*f = failures{{Code: throttled, Count: count}}
		}
		return nil
	}
	var list []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Count   *int   `json:"count"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&list) != nil {
		return settingError{"fail_next", "must be a whole number, or a list of objects with code, message and count"}
	}
	*f = nil
	for _, one := range list {
		count := 1
		if one.Count != nil {
			count = *one.Count
		}
		*f = append(*f, failure{one.Code, one.Message, count})
	}
	return nil
}

const throttled = "TooManyRequestsException"

// refusals are SendEmail's errors, with status and usual message.
// https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors
//
// The documentation does not name the error of the daily quota. Programs that report it
// have met LimitExceededException; the message is the one of
// https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html
var refusals = map[string]struct {
	status  int
	message string
}{
	throttled:                            {http.StatusTooManyRequests, "Maximum sending rate exceeded."},
	"LimitExceededException":             {http.StatusBadRequest, "Daily message quota exceeded."},
	"MessageRejected":                    {http.StatusBadRequest, "Email address is not verified."},
	"MailFromDomainNotVerifiedException": {http.StatusBadRequest, "The sending domain's MAIL FROM domain is not verified."},
	"AccountSuspendedException":          {http.StatusBadRequest, "Your account's ability to send email is suspended."},
	"SendingPausedException":             {http.StatusBadRequest, "Email sending is paused for this account."},
	"BadRequestException":                {http.StatusBadRequest, "The input that you provided is invalid."},
	"NotFoundException":                  {http.StatusNotFound, "The resource that you attempted to access does not exist."},
	"InternalFailure":                    {http.StatusInternalServerError, "An internal error occurred."},
	"ServiceUnavailable":                 {http.StatusServiceUnavailable, "The service is unavailable."},
}

// refusal returns an error of SendEmail. Without a message it has the usual one.
func refusal(code, message string) error {
	kind := refusals[code]
	if message == "" {
		message = kind.message
	}
	return apiError{kind.status, code, message}
}

// settingError is what is wrong with a setting.
type settingError struct{ field, detail string }

func (e settingError) Error() string {
	if e.field == "" {
		return e.detail
	}
	return e.field + " " + e.detail
}

// parseSettings reads the body of PUT /settings. Switches that are missing are off.
func parseSettings(body io.Reader) (Settings, error) {
	var s Settings
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&s)
	if err == nil {
		if _, end := decoder.Token(); end != io.EOF {
			err = errors.New("more than one JSON value")
		}
	}
	var kind *json.UnmarshalTypeError
	var setting settingError
	switch {
	case errors.As(err, &setting):
		return s, setting
	case errors.As(err, &kind) && kind.Field != "":
		return s, settingError{kind.Field, fmt.Sprintf("must be %s, not %s", jsonNames[kind.Type.Kind().String()], kind.Value)}
	case err != nil:
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return s, settingError{strings.Trim(field, `"`), "is not a setting; the settings are throttle_per_second, fail_next, daily_quota, bounce, complain, suppress and unverified"}
		}
		return s, settingError{"", "the body must be one JSON object of settings"}
	}
	if s.ThrottlePerSecond != nil && *s.ThrottlePerSecond < 1 {
		return s, settingError{"throttle_per_second", "must be at least 1; leave it out for no limit"}
	}
	if s.DailyQuota != nil && *s.DailyQuota < 0 {
		return s, settingError{"daily_quota", "must be at least 0; leave it out for no limit"}
	}
	for i, f := range s.FailNext {
		if _, ok := refusals[f.Code]; !ok {
			return s, settingError{fmt.Sprintf("fail_next[%d].code", i), "must be one of " + strings.Join(slices.Sorted(maps.Keys(refusals)), ", ")}
		}
		if f.Count < 1 {
			return s, settingError{fmt.Sprintf("fail_next[%d].count", i), "must be at least 1"}
		}
	}
	for _, list := range []struct {
		field     string
		addresses []string
	}{{"bounce", s.Bounce}, {"complain", s.Complain}, {"suppress", s.Suppress}} {
		for i, text := range list.addresses {
			if address, err := parseAddress(text); err != nil || address.Address != text {
				return s, settingError{fmt.Sprintf("%s[%d]", list.field, i), "must be an address without a name, such as a@example.com"}
			}
		}
	}
	return s, nil
}

// jsonNames are what JSON calls the kinds of Go.
var jsonNames = map[string]string{"int": "a whole number", "bool": "true or false", "string": "text", "slice": "a list", "struct": "an object"}

// settings are the settings of a run, and what counts towards their limits. They are
// safe for concurrent use.
type settings struct {
	now func() time.Time

	mu      sync.Mutex
	current Settings
	second  []sent // of the last second
	day     []sent // of the last 24 hours
}

// sent is mail that was taken.
type sent struct {
	at         time.Time
	recipients int
}

func newSettings(now func() time.Time) *settings { return &settings{now: now} }

func (s *settings) get() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *settings) put(new Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = new
}

// take counts mail for some recipients, of whom counted ones count towards the daily
// quota, or returns why it is refused. Mail that begins within a limit is taken as a
// whole, as SES does.
func (s *settings) take(recipients, counted int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if next := s.current.FailNext; len(next) > 0 {
		first := next[0]
		rest := slices.Clone(next[1:])
		if first.Count > 1 {
			rest = append(failures{{first.Code, first.Message, first.Count - 1}}, rest...)
		}
		s.current.FailNext = rest
		return refusal(first.Code, first.Message)
	}
	now := s.now()
	s.second, s.day = since(s.second, now.Add(-time.Second)), since(s.day, now.Add(-24*time.Hour))
	if limit := s.current.ThrottlePerSecond; limit != nil && total(s.second) >= *limit {
		return refusal(throttled, "")
	}
	if limit := s.current.DailyQuota; limit != nil && counted > 0 && total(s.day) >= *limit {
		return refusal("LimitExceededException", "")
	}
	s.second = append(s.second, sent{now, recipients})
	s.day = append(s.day, sent{now, counted})
	return nil
}

func since(all []sent, start time.Time) []sent {
	i := 0
	for i < len(all) && !all[i].at.After(start) {
		i++
	}
	return all[i:]
}

func total(all []sent) (n int) {
	for _, one := range all {
		n += one.recipients
	}
	return n
}

// limits returns what GetAccount reports. A quota of -1 is none.
func (s *settings) limits() (quota, rate, sentToday float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	quota, rate = -1, unlimitedRate
	if limit := s.current.DailyQuota; limit != nil {
		quota = float64(*limit)
	}
	if limit := s.current.ThrottlePerSecond; limit != nil {
		rate = float64(*limit)
	}
	s.day = since(s.day, s.now().Add(-24*time.Hour))
	return quota, rate, float64(total(s.day))
}

// unlimitedRate is the rate of an account without a limit: SES has no word for it.
const unlimitedRate = 1000
