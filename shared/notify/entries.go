package notify

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"

	"plaudit/shared/event"
	"plaudit/shared/letter"
)

const (
	// maxHistory is how many entries are read for a mail to find what reversals cancel and
	// the scores before. What is not found then is not told.
	maxHistory = 2000
	// fewReversals are asked for one by one.
	fewReversals = 3
	// fewRuns are all told; of more, only that of the board's main period.
	fewRuns = 4
)

// corrections are what happened to one player: the entries that the mail is about, and
// all of the player's in the same batch.
type corrections struct {
	board       Board
	player      string // id
	name        string
	told, whole []Entry

	// history has the player's entries, by seq, as far as they are read. From known up to
	// the batch it has no gap.
	history map[int64]Entry
	known   int64
	budget  *int // how many entries may still be read for the mail
	next    func() (Entry, error, bool)
	stop    func()
}

// entries adds the entries of the event or of its batch, and what they changed.
func (s *Service) entries(ctx context.Context, l *letter.Letter, e Event, to User) (reason string, err error) {
	all := []Entry{e.entry.Entry}
	if batch := e.batch(); batch != "" {
		for entry, err := range s.Scores.Batch(ctx, to.ID, batch) {
			if err != nil {
				return "", err
			}
			// The event's own is there too, unless the link has ended meanwhile.
			if entry.ID != e.entry.ID {
				all = append(all, entry)
			}
		}
	}
	groups := map[[2]string]*corrections{}
	budget := maxHistory
	for _, entry := range all {
		key := [2]string{entry.Board, entry.Player}
		g := groups[key]
		if g == nil {
			b, err := s.fullBoard(ctx, entry.Board)
			if err != nil {
				return "", err
			}
			g = &corrections{board: b, player: entry.Player, budget: &budget}
			if g.name, _, err = s.player(ctx, entry.Board, entry.Player); err != nil {
				return "", err
			}
			groups[key] = g
		}
		g.whole = append(g.whole, entry)
		switch {
		case g.board.State == "draft": // nobody is told of drafts
		case entry.Kind == "adjustment" && to.wants(string(event.EntryAdjusted)),
			entry.Kind == "reversal" && to.wants(string(event.EntryReversed)):
			g.told = append(g.told, entry)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(groups), func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	}) {
		g := groups[key]
		if len(g.told) == 0 {
			delete(groups, key)
			continue
		}
		for _, list := range [][]Entry{g.told, g.whole} {
			slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
		}
		told, scores, err := s.correct(ctx, g)
		if err != nil {
			return "", err
		}
		g.history = nil
		l.Entries = append(l.Entries, told...)
		l.Scores = append(l.Scores, scores...)
	}
	if len(l.Entries) == 0 {
		return "draft", nil
	}
	for key := range groups {
		if key[1] != e.entry.Player || key[0] != e.entry.Board {
			l.Player = ""
		}
		if key[0] != e.entry.Board {
			l.Board = letter.Board{}
		}
	}
	return "", nil
}

// correct returns the entries and the scores of one player.
func (s *Service) correct(ctx context.Context, g *corrections) (entries []letter.Entry, scores []letter.Score, err error) {
	defer func() {
		if g.stop != nil {
			g.stop()
		}
	}()
	originals, err := s.originals(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range g.told {
		out := g.letter(e)
		if original, ok := originals[e.Reverses]; ok && e.Reverses != "" {
			o := g.letter(original)
			out.Original = &o
		}
		entries = append(entries, out)
	}
	runs := g.runs()
	if len(runs) > fewRuns {
		runs = runs[:1]
	}
	for i, r := range runs {
		score := letter.Score{Board: g.board.letter(), Player: g.name, Period: r.Period, Start: r.Start, To: r.Score}
		if score.From, score.FromKnown, err = s.before(ctx, g, r); err != nil {
			return nil, nil, err
		}
		same := score.FromKnown && (score.From == nil) == (score.To == nil) && (score.From == nil || *score.From == *score.To)
		if i == 0 || !same {
			scores = append(scores, score)
		}
	}
	return entries, scores, nil
}

func (g *corrections) letter(e Entry) letter.Entry {
	return letter.Entry{
		Kind: e.Kind, Player: g.name, Board: g.board.letter(), Points: e.Points, Reason: e.Reason, Note: e.Note, OccurredAt: e.OccurredAt,
	}
}

// runs returns the scores after all of the batch, that of the main period first.
func (g *corrections) runs() (runs []Credit) {
	for _, e := range slices.Backward(g.whole) {
		for _, c := range e.Standings {
			if !slices.ContainsFunc(runs, c.sameRun) {
				runs = append(runs, c)
			}
		}
	}
	first := g.board.mainPeriod()
	slices.SortStableFunc(runs, func(a, b Credit) int {
		main := map[bool]int{true: 0, false: 1}
		return main[a.Period == first] - main[b.Period == first]
	})
	return runs
}

func (c Credit) sameRun(other Credit) bool {
	return c.Period == other.Period && c.Start.Equal(other.Start)
}

// in returns the entry's score in the run.
func (e Entry) in(run Credit) (Credit, bool) {
	i := slices.IndexFunc(e.Standings, run.sameRun)
	if i < 0 {
		return Credit{}, false
	}
	return e.Standings[i], true
}

// before returns the score in a run before the entries, if it can be known.
func (s *Service) before(ctx context.Context, g *corrections, run Credit) (score *int64, known bool, err error) {
	first := g.whole[0].Seq
	if first == 1 {
		return nil, true, nil // they are the player's first
	}
	if g.board.Combine == "sum" {
		was := int64(0)
		if run.Score != nil {
			was = *run.Score
		}
		for _, e := range g.whole {
			if _, counts := e.in(run); counts {
				was -= e.Points
			}
		}
		return &was, true, nil
	}
	find := func() bool {
		for seq := first - 1; seq >= g.known; seq-- {
			if c, counts := g.history[seq].in(run); counts {
				score, known = c.Score, true
				return true
			}
		}
		return false
	}
	if err := s.read(ctx, g, find); err != nil {
		return nil, false, err
	}
	return score, known || g.known == 1, nil
}

// originals returns the entries that the reversals cancel, as far as they are found.
func (s *Service) originals(ctx context.Context, g *corrections) (map[string]Entry, error) {
	found, wanted := map[string]Entry{}, 0
	for _, e := range g.told {
		if e.Reverses != "" {
			wanted++
		}
	}
	if wanted <= fewReversals {
		for _, e := range g.told {
			if e.Reverses == "" {
				continue
			}
			original, ok, err := s.Scores.Entry(ctx, e.Board, e.Reverses)
			if err != nil {
				return nil, err
			}
			if ok {
				found[e.Reverses] = original
			}
		}
		return found, nil
	}
	missing := map[string]bool{}
	for _, e := range g.told {
		missing[e.Reverses] = true
	}
	delete(missing, "")
	collect := func() bool {
		for _, e := range g.history {
			if missing[e.ID] {
				found[e.ID] = e
				delete(missing, e.ID)
			}
		}
		return len(missing) == 0
	}
	return found, s.read(ctx, g, collect)
}

// read reads on in the player's entries until enough is known, all of them are, or there
// are too many.
func (s *Service) read(ctx context.Context, g *corrections, enough func() bool) error {
	if g.next == nil {
		g.history, g.known = map[int64]Entry{}, g.whole[0].Seq
		g.next, g.stop = iter.Pull2(s.Scores.Entries(ctx, g.board.ID, g.player))
	}
	for n := 0; ; n++ {
		if n%100 == 0 && (enough() || *g.budget <= 0) {
			return nil
		}
		e, err, ok := g.next()
		if err != nil {
			return err
		}
		if !ok {
			enough()
			return nil
		}
		*g.budget--
		g.history[e.Seq] = e
		for g.known > 1 && g.history[g.known-1].ID != "" {
			g.known--
		}
	}
}
