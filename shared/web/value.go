package web

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The functions below are the only parsers of values that clients send, whether in
// a body, a query, a cursor or a header.

// ParseTime parses a date-time of RFC 3339 (section 5.6) in the years 1000 to 9999
// of UTC, and returns it in UTC. T and Z must be capitals, and a leap second is
// refused. Digits after the nanosecond are ignored.
func ParseTime(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, false
	}
	// Package time also accepts an hour of one digit, a comma before the fraction
	// and offsets from 24:00 on (https://go.dev/issue/54580).
	if text[len("2006-01-02T15")] != ':' || strings.Contains(text, ",") {
		return time.Time{}, false
	}
	if zone := text[len(text)-len("00:00"):]; !strings.HasSuffix(text, "Z") && (zone[:2] > "23" || zone[3:] > "59") {
		return time.Time{}, false
	}
	t = t.UTC()
	if t.Year() < 1000 || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t, true
}

// parseInt parses a whole number of JSON (RFC 8259, section 6), without fraction or
// exponent. -0 is 0. The error is strconv.ErrSyntax or strconv.ErrRange.
func parseInt(text string, bits int) (int64, error) {
	if digits := strings.TrimPrefix(text, "-"); digits != "0" && (digits == "" || digits[0] < '1' || digits[0] > '9') {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if errors.Is(err, strconv.ErrRange) {
		return 0, strconv.ErrRange
	}
	return n, err
}

// parseBool parses true and false.
func parseBool(text string) (value, ok bool) {
	return text == "true", text == "true" || text == "false"
}

var weight = regexp.MustCompile(`(?i);[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*(?:;|$)`)

// Weight parses the weight of a media range that has one: from 0 to 1, with at most
// three digits after the point and without quotes
// (https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2).
func Weight(mediaRange string) (float64, bool) {
	found := weight.FindStringSubmatch(mediaRange)
	if found == nil {
		return 0, false
	}
	q, err := strconv.ParseFloat(found[1], 64)
	return q, err == nil
}

// The grammar of If-None-Match. Recipients must accept empty list elements
// (https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2).
const entityTag = `(?:W/)?"[^"\x00-\x20\x7f]*"`

var (
	entityTags    = regexp.MustCompile(entityTag)
	entityTagList = regexp.MustCompile(`^(?:[ \t]*(?:` + entityTag + `)?[ \t]*(?:,|$))*$`)
)

// hasTag reports whether the lines of an If-None-Match match the tag: they are * or
// list it. The comparison is weak, as RFC 9110 requires, because a proxy that
// compresses a response weakens its tag. Lines that are not valid match nothing.
func hasTag(lines []string, tag string) bool {
	list := strings.Join(lines, ",")
	if strings.Trim(list, " \t") == "*" {
		return true
	}
	if !entityTagList.MatchString(list) {
		return false
	}
	return slices.ContainsFunc(entityTags.FindAllString(list, -1), func(t string) bool { return strings.TrimPrefix(t, "W/") == tag })
}
