package pattern

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// checkAnythingBut refuses what only rules refuse: values that are neither text nor
// numbers, both in one list, and an empty prefix or suffix, which excludes everything.
func (d dialect) checkAnythingBut(operator string, item, first any, at string) error {
	if !d.rule {
		return nil
	}
	text, isText := item.(string)
	_, isNumber := item.(json.Number)
	_, firstIsText := first.(string)
	switch {
	case !isText && !isNumber:
		return fmt.Errorf("%s must have text or numbers, not true, false or null", at)
	case isText != firstIsText:
		return fmt.Errorf("%s must have either text or numbers, not both", at)
	case (operator == "prefix" || operator == "suffix") && isText && text == "":
		return fmt.Errorf("%s must not be empty", at)
	}
	return nil
}

// checkNumeric refuses ranges that only rules refuse: their lower bound comes first,
// and must be less than the upper one.
func (d dialect) checkNumeric(argument any, at string) error {
	list, _ := argument.([]any)
	if !d.rule || len(list) != 4 {
		return nil
	}
	low, high := list[0], list[2]
	if (low != ">" && low != ">=") || (high != "<" && high != "<=") {
		return fmt.Errorf("%s: a range must have a lower bound (> or >=) and then an upper bound (< or <=)", at)
	}
	bottom, _ := list[1].(json.Number)
	top, _ := list[3].(json.Number)
	from, fromErr := bottom.Float64()
	to, toErr := top.Float64()
	if fromErr == nil && toErr == nil && from >= to {
		return fmt.Errorf("%s: the lower bound must be less than the upper bound", at)
	}
	return nil
}

// parseWildcard parses text in which * stands for any characters, \* for * and \\ for
// a backslash.
func parseWildcard(argument any, at string) (matcher, error) {
	text, ok := argument.(string)
	if !ok {
		return nil, fmt.Errorf("%s must be text", at)
	}
	parts := []string{""} // between the asterisks
	for i, star := 0, false; i < len(text); i++ {
		last := len(parts) - 1
		if text[i] == '*' {
			if star {
				return nil, fmt.Errorf("%s must not have two wildcards in succession", at)
			}
			parts, star = append(parts, ""), true
			continue
		}
		star = false
		if text[i] == '\\' {
			if i++; i == len(text) || text[i] != '*' && text[i] != '\\' {
				return nil, fmt.Errorf("%s: a backslash must be followed by * or another backslash", at)
			}
		}
		parts[last] += text[i : i+1]
	}
	return func(leaf any, exists bool) bool {
		value, ok := leaf.(string)
		return exists && ok && matchParts(value, parts)
	}, nil
}

// matchParts reports whether a text consists of the parts in their order, with
// anything between them.
func matchParts(text string, parts []string) bool {
	if len(parts) == 1 {
		return text == parts[0]
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

// parseCIDR parses a block of addresses, such as 10.0.0.0/24.
func parseCIDR(argument any, at string) (matcher, error) {
	text, _ := argument.(string)
	block, err := netip.ParsePrefix(text)
	if err != nil || block.IsSingleIP() {
		return nil, fmt.Errorf("%s must be a block of more than one address, such as 10.0.0.0/24 or 2001:db8::/32", at)
	}
	block = block.Masked()
	return func(leaf any, exists bool) bool {
		value, _ := leaf.(string)
		address, err := netip.ParseAddr(value)
		return exists && err == nil && address.Zone() == "" && block.Contains(address)
	}, nil
}
