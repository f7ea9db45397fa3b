package score

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"plaudit/shared/fault"
	"plaudit/shared/id"
	"plaudit/shared/text"
	"plaudit/shared/timezone"
)

// Combine is how a player's entries become one score.
type Combine string

// The ways to combine.
const (
	Sum  Combine = "sum"
	Best Combine = "best"
	Last Combine = "last"
)

// Order is which scores rank first.
type Order string

// The orders.
const (
	Desc Order = "desc" // more is better
	Asc  Order = "asc"  // less is better
)

// Ties is how equal scores rank.
type Ties string

// The tie rules.
const (
	First  Ties = "first"  // the player who reached the score first ranks higher
	Shared Ties = "shared" // equal scores share a rank
)

// State is what a board accepts.
type State string

// The states.
const (
	Draft    State = "draft" // shown to its people only; no period closes, and nobody is notified
	Open     State = "open"
	Closed   State = "closed"   // accepts no entries until its owner opens it
	Archived State = "archived" // closed, and left out of lists
)

// Board is one competition. Its JSON form is the API's.
type Board struct {
	ID         string           `json:"id"`
	Title      string           `json:"title"`
	Combine    Combine          `json:"combine"`
	Order      Order            `json:"order"`
	Ties       Ties             `json:"ties"`
	Periods    []Period         `json:"periods"`    // names are unique
	Categories []string         `json:"categories"` // player attributes with rankings of their own
	TimeZone   string           `json:"time_zone"`  // IANA name; decides when its days begin
	Catalogue  map[string]int64 `json:"catalogue"`  // points by reason; nil if points are free
	Min        int64            `json:"min"`        // minimum points of an entry
	Max        *int64           `json:"max"`        // maximum points of an entry; nil without a limit
	DailyCap   *int64           `json:"daily_cap"`  // maximum net points per player and day; nil without a limit
	Floor      *int64           `json:"floor"`      // minimum score of the period all, at most 0; nil without a limit
	Decimals   int              `json:"decimals"`   // 0 to 6: fraction digits of a score, for display
	Unit       string           `json:"unit"`       // points or duration_ms, for display
	Grace      Duration         `json:"grace"`      // time between a period's end and its closing
	Players    string           `json:"players"`    // any or registered
	Public     bool             `json:"public"`
	Owners     []string         `json:"owners,omitzero"` // ids of users; nil, and these three left out, for callers who do not see them
	Writers    []string         `json:"writers,omitzero"`
	Viewers    []string         `json:"viewers,omitzero"`
	State      State            `json:"state"`
	OpenedAt   *time.Time       `json:"opened_at"` // nil for a draft
	Version    int64            `json:"version"`   // grows by one with every change
	CreatedAt  time.Time        `json:"created_at"`
}

// Duration is written as 24h or 1h30m.
type Duration time.Duration

// MarshalText omits parts that are zero.
func (d Duration) MarshalText() ([]byte, error) {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return []byte(s), nil
}

var durationForm = regexp.MustCompile(`^(?:(0|[1-9][0-9]*)h)?(?:(0|[1-9][0-9]*)m)?(?:(0|[1-9][0-9]*)s)?$`)

// UnmarshalText accepts whole hours, minutes and seconds, in this order and each at
// most once, such as 24h, 1h30m and 90m. Longer ones than a Duration can hold become
// the longest.
func (d *Duration) UnmarshalText(text []byte) error {
	parts := durationForm.FindSubmatch(text)
	if len(text) == 0 || parts == nil {
		return fmt.Errorf("%q is not a duration such as 24h or 1h30m", text)
	}
	var total Duration
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		if len(parts[i+1]) == 0 {
			continue
		}
		n, err := strconv.ParseInt(string(parts[i+1]), 10, 64)
		if err != nil || n > int64(longest-total)/int64(unit) {
			*d = longest
			return nil
		}
		total += Duration(n) * Duration(unit)
	}
	*d = total
	return nil
}

const longest = Duration(math.MaxInt64)

// NewBoard returns a board with every default.
func NewBoard(board, owner string) Board {
	return Board{
		ID: board, Title: board, Combine: Sum, Order: Desc, Ties: First,
		Periods: []Period{{Name: All}}, Categories: []string{}, TimeZone: "UTC",
		Unit: "points", Grace: Duration(24 * time.Hour), Players: "any", Public: true,
		Owners: []string{owner}, Writers: []string{}, Viewers: []string{}, State: Open, Version: 1,
	}
}

// Published reports whether anybody may read the board.
func (b Board) Published() bool { return b.Public && b.State != Draft }

// clone returns a deep copy.
func (b Board) clone() Board {
	b.Periods, b.Categories = slices.Clone(b.Periods), slices.Clone(b.Categories)
	b.Owners, b.Writers, b.Viewers = slices.Clone(b.Owners), slices.Clone(b.Writers), slices.Clone(b.Viewers)
	b.Catalogue = maps.Clone(b.Catalogue)
	return b
}

// tidy removes duplicate people and an empty catalogue. Lists become empty,
// never nil.
func (b *Board) tidy() {
	for _, list := range []*[]string{&b.Owners, &b.Writers, &b.Viewers} {
		seen := map[string]bool{}
		*list = slices.DeleteFunc(append([]string{}, *list...), func(user string) bool {
			duplicate := seen[user]
			seen[user] = true
			return duplicate
		})
	}
	if len(b.Catalogue) == 0 {
		b.Catalogue = nil
	}
}

// normalise puts the board's texts into their normal form, and adds a fault for
// every reason that then appears more than once. What is the same on the old
// board stays as it is, because entries may have been counted by it.
func (b *Board) normalise(old Board, faults *fault.List) {
	if b.Title != b.ID && b.Title != old.Title { // the default title is the id
		b.Title = text.Normal(b.Title)
	}
	if !slices.EqualFunc(b.Periods, old.Periods, Period.Same) {
		b.Periods = slices.Clone(b.Periods)
		for i := range b.Periods {
			b.Periods[i].Name = text.Normal(b.Periods[i].Name)
		}
	}
	if !slices.Equal(b.Categories, old.Categories) {
		b.Categories = slices.Clone(b.Categories)
		for i, name := range b.Categories {
			b.Categories[i] = text.Normal(name)
		}
	}
	if len(b.Catalogue) <= maxReasons && !maps.Equal(b.Catalogue, old.Catalogue) {
		b.Catalogue = normalKeys(faults, "catalogue", b.Catalogue)
	}
}

// check adds a fault for every field that is invalid on its own.
func (b Board) check(faults *fault.List) {
	if !id.Board(b.ID) {
		faults.Add("id", id.BoardForm)
	}
	if b.Title != b.ID { // the default title is the id, which is checked above
		checkText(faults, "title", b.Title, maxTitle)
	}
	oneOf(faults, "combine", b.Combine, Sum, Best, Last)
	oneOf(faults, "order", b.Order, Desc, Asc)
	oneOf(faults, "ties", b.Ties, First, Shared)
	b.checkPeriods(faults)
	b.checkCategories(faults)
	if _, err := timezone.Load(b.TimeZone); err != nil {
		faults.Add("time_zone", "must be an IANA time zone, such as Asia/Seoul or UTC")
	}
	if len(b.Catalogue) > maxReasons {
		faults.Add("catalogue", "must have at most %d reasons", maxReasons)
	} else {
		for _, reason := range sortedKeys(b.Catalogue) {
			checkKey(faults, "catalogue."+reason, reason, maxReason)
			checkPoints(faults, "catalogue."+reason, b.Catalogue[reason])
		}
	}
	checkPoints(faults, "min", b.Min)
	if b.Max != nil {
		checkPoints(faults, "max", *b.Max)
	}
	if b.DailyCap != nil && (*b.DailyCap < 0 || *b.DailyCap > MaxPoints) {
		faults.Add("daily_cap", "must be from 0 to %d, or null", int64(MaxPoints))
	}
	if b.Floor != nil && (*b.Floor < -MaxPoints || *b.Floor > 0) {
		faults.Add("floor", "must be from -%d to 0, or null", int64(MaxPoints))
	}
	if b.Decimals < 0 || b.Decimals > 6 {
		faults.Add("decimals", "must be from 0 to 6")
	}
	oneOf(faults, "unit", b.Unit, "points", "duration_ms")
	if b.Grace < 0 || b.Grace > maxGrace || time.Duration(b.Grace)%time.Second != 0 {
		faults.Add("grace", "must be whole seconds from 0s to 8784h (366 days)")
	}
	oneOf(faults, "players", b.Players, AnyPlayers, RegisteredPlayers)
	checkPeople(faults, "owners", b.Owners)
	checkPeople(faults, "writers", b.Writers)
	checkPeople(faults, "viewers", b.Viewers)
	oneOf(faults, "state", b.State, Draft, Open, Closed, Archived)
}

// The kinds of players that a board may have.
const (
	AnyPlayers        = "any"        // the board chooses their ids
	RegisteredPlayers = "registered" // their ids are users' ids
)

const (
	maxPeriods    = 8
	maxPeriodName = 40
	maxCron       = 100
	maxCategories = 4
)

func (b Board) checkPeriods(faults *fault.List) {
	if n := len(b.Periods); n < 1 || n > maxPeriods {
		faults.Add("periods", "must list 1 to %d periods", maxPeriods)
		return
	}
	seen := map[string]bool{}
	for i, p := range b.Periods {
		at := index("periods", i)
		plain := p.Cron == "" && p.Start.IsZero() && p.End.IsZero()
		own := slices.Contains([]string{All, Day, Week, Month}, p.Name)
		name := at
		if !plain {
			name += ".name"
		}
		switch {
		case seen[p.Name]:
			faults.Add(name, "is already the name of another period")
		case plain && !own:
			faults.Add(name, "must be all, day, week or month, or an object {name, cron} or {name, start, end}")
		case !plain && own:
			faults.Add(name, "must not be %s, which is a built-in period", p.Name)
		case !plain:
			checkText(faults, name, p.Name, maxPeriodName)
		}
		seen[p.Name] = true
		if p.Cron != "" {
			checkCron(faults, at+".cron", p.Cron)
		} else if !plain {
			checkSeason(faults, at, p)
		}
	}
}

func (b Board) periodNames() []string {
	names := make([]string, len(b.Periods))
	for i, p := range b.Periods {
		names[i] = p.Name
	}
	return names
}

func checkCron(faults *fault.List, field, expression string) {
	if len(expression) > maxCron {
		faults.Add(field, "must have at most %d characters", maxCron)
	} else if _, err := parseCron(expression); err != nil {
		faults.Add(field, "must be a cron expression: %v", err)
	}
}

func checkSeason(faults *fault.List, at string, p Period) {
	for _, border := range []struct {
		name string
		at   time.Time
	}{{"start", p.Start}, {"end", p.End}} {
		if border.at.Before(earliest) || !border.at.Before(latest) {
			faults.Add(at+"."+border.name, "must be a time from 2000 to 2999")
		} else if !border.at.Equal(border.at.Truncate(time.Microsecond)) {
			faults.Add(at+"."+border.name, "must be in whole microseconds")
		}
	}
	if !p.End.After(p.Start) {
		faults.Add(at+".end", "must be after the start")
	}
}

func (b Board) checkCategories(faults *fault.List) {
	if len(b.Categories) > maxCategories {
		faults.Add("categories", "must list at most %d attributes", maxCategories)
		return
	}
	for i, name := range b.Categories {
		// A colon ends the name in `category=name:value`.
		if strings.Contains(name, ":") {
			faults.Add(index("categories", i), "must not contain a colon")
		}
		checkText(faults, index("categories", i), name, maxAttributeName)
		if slices.Contains(b.Categories[:i], name) {
			faults.Add(index("categories", i), "appears more than once")
		}
	}
}

const maxGrace = Duration(366 * 24 * time.Hour)

// checkTogether adds a fault for every pair of fields that contradict each
// other. It names the field that changed from the old board.
func (b Board) checkTogether(old Board, faults *fault.List) {
	if b.Max != nil && *b.Max < b.Min {
		if same(old.Max, b.Max) {
			faults.Add("min", "must not be greater than max, which is %d", *b.Max)
		} else {
			faults.Add("max", "must not be less than min, which is %d", b.Min)
		}
	}
	for _, f := range []struct {
		name     string
		old, new *int64
	}{{"daily_cap", old.DailyCap, b.DailyCap}, {"floor", old.Floor, b.Floor}} {
		switch {
		case f.new == nil || b.Combine != Best && b.Combine != Last:
		case same(f.old, f.new):
			faults.Add("combine", "must be sum, because the board has a %s", f.name)
		default:
			faults.Add(f.name, "is only allowed if combine is sum")
		}
	}
	switch {
	case b.Floor == nil || slices.Contains(b.periodNames(), All):
	case same(old.Floor, b.Floor):
		faults.Add("periods", "must include all, because the board has a floor")
	default:
		faults.Add("floor", "is only allowed if the periods include all: the floor is that of the score of all time")
	}
}

func same(a, b *int64) bool { return a != nil && b != nil && *a == *b }

func checkPeople(faults *fault.List, field string, users []string) {
	if len(users) > maxPeople {
		faults.Add(field, "must list at most %d users", maxPeople)
		return
	}
	for i, user := range users {
		if !userID.MatchString(user) {
			faults.Add(index(field, i), "must be a user's id")
		}
	}
}

// frozen returns the names of the fields that differ but must not once the
// board has entries, because those were counted by the old values.
func frozen(old, new Board) []string {
	var fields []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"combine", old.Combine == new.Combine},
		{"order", old.Order == new.Order},
		{"ties", old.Ties == new.Ties},
		{"periods", slices.EqualFunc(old.Periods, new.Periods, Period.Same)},
		{"categories", slices.Equal(old.Categories, new.Categories)},
		{"time_zone", old.TimeZone == new.TimeZone},
		{"decimals", old.Decimals == new.Decimals},
		{"players", old.Players == new.Players},
		{"grace", old.Grace == new.Grace},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}

func oneOf[T ~string](faults *fault.List, field string, got T, allowed ...T) {
	if !slices.Contains(allowed, got) {
		faults.Add(field, "must be one of %s", list(allowed))
	}
}

func list[T ~string](words []T) string {
	text := make([]string, len(words))
	for i, w := range words {
		text[i] = string(w)
	}
	return strings.Join(text, ", ")
}

func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
