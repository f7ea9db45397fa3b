package score

import "sync"

// cache keeps the boards that this process has loaded. They may be out of date,
// so whatever is decided by one must be checked against its version in the
// ledger.
type cache struct {
	mu      sync.Mutex
	boards  map[string]Board
	reasons int // of all their catalogues
}

// The limits of a cache's memory. A reason takes up to 400 bytes, all else of a
// board up to 30 KB. They also limit what the ledger returns if every board is stale.
const (
	maxCached        = 200
	maxCachedReasons = 20_000
)

// get returns the cached board; ok is false if there is none.
func (c *cache) get(id string) (b Board, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok = c.boards[id]
	return b, ok
}

func (c *cache) keep(b Board) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.boards[b.ID]; ok && old.Version > b.Version {
		return
	}
	c.drop(b.ID)
	if c.boards == nil {
		c.boards = map[string]Board{}
	}
	for id := range c.boards {
		if len(c.boards) < maxCached && c.reasons+len(b.Catalogue) <= maxCachedReasons {
			break
		}
		c.drop(id) // whichever the map yields first
	}
	c.boards[b.ID] = b
	c.reasons += len(b.Catalogue)
}

func (c *cache) drop(id string) {
	c.reasons -= len(c.boards[id].Catalogue)
	delete(c.boards, id)
}
