package scores

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Describe returns a line with the standing and each field that differs.
func (d Difference) Describe() (string, error) {
	var stored, ledger map[string]json.RawMessage
	for doc, to := range map[*[]byte]*map[string]json.RawMessage{&d.Stored: &stored, &d.Ledger: &ledger} {
		if *doc == nil {
			continue
		}
		if err := json.Unmarshal(*doc, to); err != nil {
			return "", fmt.Errorf("read a difference: %w", err)
		}
	}
	where := d.Period
	if d.StartAt != nil {
		where += " from " + d.StartAt.UTC().Format(time.RFC3339)
	}
	has := "the ledger has"
	switch {
	case d.Player == "":
		has = "the board has"
	case d.Period == Attributes:
		has = "the attributes have"
	}
	var parts []string
	switch {
	case stored == nil:
		parts = append(parts, fmt.Sprintf("no standing, but the ledger has score %s", ledger["score"]))
	case ledger == nil:
		parts = append(parts, fmt.Sprintf("score %s, but the ledger has no standing", stored["score"]))
	default:
		for name := range ledger {
			if string(stored[name]) != string(ledger[name]) {
				parts = append(parts, fmt.Sprintf("%s %s, but %s %s", name, orNothing(stored[name]), has, ledger[name]))
			}
		}
		slices.Sort(parts)
	}
	if d.Player != "" {
		where += ", player " + d.Player
	}
	return where + ": " + strings.Join(parts, "; "), nil
}

func orNothing(text json.RawMessage) string {
	if text == nil {
		return "nothing"
	}
	return string(text)
}
