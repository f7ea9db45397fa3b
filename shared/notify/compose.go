package notify

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"plaudit/shared/letter"
	"plaudit/shared/timezone"
)

// compose returns the letter to a user and the address that it goes to, or the reason
// why there is none.
func (s *Service) compose(ctx context.Context, e Event, k kind, to User) (l letter.Letter, address, reason string, err error) {
	l = letter.Letter{Kind: k.kind, Locale: to.Locale, Zone: zone(to.TimeZone), Reader: to.DisplayName, At: e.Time}
	if l.Locale != "ko" {
		l.Locale = "en"
	}
	if l.Zone == nil {
		l.Zone = time.UTC
	}
	if l.At.IsZero() || e.entry != nil {
		l.At = e.RecordedTime // an adjustment may count from an instant long ago
	}
	address = to.Email
	if k.preference != "" {
		link, ok, err := s.Accounts.Link(ctx, to.ID, UnsubscribeLink, k.preference)
		if err != nil {
			return l, "", "", err
		}
		if !ok {
			return l, "", "erased", nil
		}
		l.Unsubscribe = link.URL
	}
	switch k.kind {
	case letter.Verify, letter.Reset:
		link, ok, err := s.Accounts.Link(ctx, to.ID, LinkKind(k.kind), "")
		if err != nil {
			return l, "", "", err
		}
		if !ok {
			return l, "", "nothing-due", nil
		}
		l.Link, l.LinkFor, address = link.URL, linkLife, link.Email
		return l, address, "", nil
	case letter.EmailChanged:
		address = cmp.Or(to.FormerEmail, address)
	}
	if l.Actor, l.ByKey, err = s.actor(ctx, e.Actor); err != nil {
		return l, "", "", err
	}
	reason, err = s.tellOf(ctx, &l, e, k, to)
	return l, address, reason, err
}

// tellOf adds to the letter what its event is about.
func (s *Service) tellOf(ctx context.Context, l *letter.Letter, e Event, k kind, to User) (reason string, err error) {
	if board, player := e.player(); board != "" {
		if l.Board, err = s.board(ctx, board); err != nil {
			return "", err
		}
		if player != "" {
			if l.Player, _, err = s.player(ctx, board, player); err != nil {
				return "", err
			}
		}
	}
	switch k.kind {
	case letter.Adjusted, letter.Reversed:
		return s.entries(ctx, l, e, to)
	case letter.PlayerChanged, letter.PlayerErased, letter.RoleChanged:
		return "", permanent(changes(l, e))
	case letter.PeriodClosed:
		return "", s.closed(ctx, l, e, to)
	case letter.LoginFailed:
		var data struct{ Failures int }
		err = e.decode(&data)
		l.Failed = data.Failures
	case letter.KeyCreated:
		var data struct {
			Scopes, Boards []string
			ExpiresAt      time.Time `json:"expires_at"`
		}
		err = e.decode(&data)
		l.Key = &letter.Key{Scopes: data.Scopes, Boards: data.Boards, Expires: data.ExpiresAt}
	case letter.Foreign:
		l.Other = &letter.Other{Source: e.Source, Type: string(e.Type), Subject: e.Subject, Lines: letter.Lines(e.Data)}
	}
	return "", permanent(err)
}

// permanent returns the error of data that will be the same whenever it comes again.
func permanent(err error) error {
	if err == nil {
		return nil
	}
	return held("%v", err)
}

func zone(name string) *time.Location {
	z, err := timezone.Load(name)
	if err != nil {
		return nil
	}
	return z
}

// changes adds the fields that changed. A status is told with its note, and nothing
// else of a player: names, countries and attributes are not in the log.
func changes(l *letter.Letter, e Event) error {
	var data struct {
		Changes map[string]struct{ From, To *string } `json:"changes"`
	}
	if err := e.decode(&data); err != nil {
		return err
	}
	for field, c := range data.Changes {
		switch {
		case l.Kind == letter.PlayerErased:
			l.Changes = append(l.Changes, letter.Change{Field: field})
		case field == "note" && c.To != nil:
			l.Note = *c.To
		case field == "status" || field == "role":
			l.Changes = append(l.Changes, letter.Change{Field: field, From: orEmpty(c.From), To: orEmpty(c.To)})
		}
	}
	slices.SortFunc(l.Changes, func(a, b letter.Change) int { return strings.Compare(a.Field, b.Field) })
	return nil
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// closed adds a closed run with its final table.
func (s *Service) closed(ctx context.Context, l *letter.Letter, e Event, to User) error {
	var data struct {
		Period struct {
			Name       string
			Start, End time.Time
		}
		Of  int
		Top []struct {
			Rank   int
			Player string
			Score  int64
		}
	}
	if err := e.decode(&data); err != nil {
		return permanent(err)
	}
	board, _ := e.player()
	l.Closed = &letter.Closed{Period: data.Period.Name, Start: data.Period.Start, End: data.Period.End, Of: data.Of}
	for _, top := range data.Top {
		name, user, err := s.player(ctx, board, top.Player)
		if err != nil {
			return err
		}
		you := user == to.ID || top.Player == to.ID
		l.Closed.Top = append(l.Closed.Top, letter.Place{Rank: top.Rank, Name: name, Score: top.Score, You: you})
	}
	return nil
}

// Names of boards, players and people in mails may be as old as this. A batch and the
// recipients of one event ask once.
const knownFor, maxKnown = 5 * time.Second, 1000

type known struct {
	value any
	until time.Time
}

// recall returns what ask returned a moment ago, or asks.
func recall[T any](ctx context.Context, s *Service, key string, ask func() (T, error)) (T, error) {
	now := s.Now()
	s.mu.Lock()
	k, ok := s.known[key]
	s.mu.Unlock()
	if value, is := k.value.(T); ok && is && now.Before(k.until) {
		return value, nil
	}
	value, err := ask()
	if err != nil {
		return value, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxKnown {
		s.known = map[string]known{}
	}
	s.known[key] = known{value, now.Add(knownFor)}
	return value, nil
}

// actor returns the name of the person who did it, or that it was an API key.
func (s *Service) actor(ctx context.Context, actor string) (name string, byKey bool, err error) {
	form, who, _ := strings.Cut(actor, "/")
	if form == "key" {
		return "", true, nil
	}
	if form != "user" || who == "" {
		return "", false, nil
	}
	name, err = recall(ctx, s, actor, func() (string, error) {
		u, _, err := s.Accounts.User(ctx, who)
		return u.DisplayName, err
	})
	return name, false, err
}

// fullBoard returns a board, one with nothing but its id if it does not exist.
func (s *Service) fullBoard(ctx context.Context, board string) (Board, error) {
	return recall(ctx, s, "board/"+board, func() (Board, error) {
		b, ok, err := s.Scores.Board(ctx, board)
		if err == nil && !ok {
			b = Board{ID: board, Title: board}
		}
		return b, err
	})
}

func (s *Service) board(ctx context.Context, board string) (letter.Board, error) {
	b, err := s.fullBoard(ctx, board)
	return b.letter(), err
}

func (b Board) letter() letter.Board {
	return letter.Board{ID: b.ID, Title: b.Title, Unit: b.Unit, Decimals: b.Decimals, Order: b.Order, Zone: zone(b.TimeZone)}
}

// player returns a player's name, else the id, and the player's user.
func (s *Service) player(ctx context.Context, board, player string) (name, user string, err error) {
	p, err := recall(ctx, s, "player/"+board+"/"+player, func() (Player, error) {
		p, _, err := s.Scores.Player(ctx, board, player)
		return p, err
	})
	return cmp.Or(p.DisplayName, player), p.User, err
}
