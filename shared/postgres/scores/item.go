package scores

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"plaudit/shared/score"
)

// itemRecords returns the items as records of the type add_item_v1, and the runs
// that they credit as records of add_run_v1. It returns each set of runs once,
// because most items credit the same runs.
func itemRecords(items []score.Item, versions map[string]int64) (records, runs []string, err error) {
	runSets := make([]int64, len(items)) // by item, 0 for none
	sets := map[string]int64{}
	for i, item := range items {
		if len(item.Runs) == 0 {
			continue
		}
		set := item.Board
		for _, s := range item.Runs {
			set += fmt.Sprint(" ", s.Name, s.Start.UnixMicro(), s.End.UnixMicro())
		}
		if sets[set] == 0 {
			sets[set] = int64(len(sets) + 1)
			for _, s := range item.Runs {
				var r record
				r.integer(sets[set])
				r.text(item.Board)
				r.text(s.Name)
				r.time(s.Start)
				r.time(s.End)
				runs = append(runs, r.String())
			}
		}
		runSets[i] = sets[set]
	}
	// A reversal cancels in the runs of its original, so it gets a set of its own,
	// which has no records.
	next := int64(len(sets))
	for i, item := range items {
		if item.Reverses != "" {
			next++
			runSets[i] = next
		}
	}

	records = make([]string, len(items))
	for i, item := range items {
		var profile []byte
		if item.Profile != nil {
			if profile, err = json.Marshal(item.Profile.Patch()); err != nil {
				return nil, nil, err
			}
		}
		var day score.Run
		if item.Day != nil {
			day = *item.Day
		}
		var r record
		r.integer(int64(i))
		r.text(item.ID)
		r.text(item.Board)
		r.integer(versions[item.Board])
		r.text(item.Player)
		r.text(item.Key)
		r.text(`\x` + hex.EncodeToString(item.Digest))
		r.boolean(item.Refused)
		r.boolean(item.Late)
		r.text(string(item.Kind))
		r.integer(item.Points)
		r.integer(item.Tiebreak)
		r.text(item.Reason)
		r.text(item.Note)
		r.time(item.OccurredAt)
		r.text(item.Metadata)
		r.text(item.Reverses)
		r.null() // new_user of the previous release
		r.text(string(profile))
		r.time(day.Start)
		r.time(day.End)
		if runSets[i] == 0 {
			r.null()
		} else {
			r.integer(runSets[i])
		}
		records[i] = r.String()
	}
	return records, runs, nil
}

// record writes the text of a composite value, field by field
// (https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX).
type record struct{ b []byte }

// next begins a field. An empty field is null.
func (r *record) next() {
	if r.b == nil {
		r.b = append(make([]byte, 0, 256), '(')
		return
	}
	r.b = append(r.b, ',')
}

func (r *record) null() { r.next() }

func (r *record) integer(n int64) {
	r.next()
	r.b = strconv.AppendInt(r.b, n, 10)
}

func (r *record) boolean(b bool) {
	r.next()
	r.b = strconv.AppendBool(r.b, b)
}

// text writes null for an empty text.
func (r *record) text(s string) {
	r.next()
	if s == "" {
		return
	}
	r.b = append(r.b, '"')
	for {
		i := strings.IndexAny(s, `"\`)
		if i < 0 {
			break
		}
		r.b = append(r.b, s[:i]...)
		r.b = append(r.b, s[i], s[i]) // doubled
		s = s[i+1:]
	}
	r.b = append(append(r.b, s...), '"')
}

// time writes null for the zero time.
func (r *record) time(t time.Time) {
	r.next()
	if !t.IsZero() {
		r.b = t.UTC().AppendFormat(r.b, time.RFC3339Nano)
	}
}

func (r *record) String() string { return string(r.b) + ")" }
