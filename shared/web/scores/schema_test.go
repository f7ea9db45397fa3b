package scores

import (
	"testing"

	"plaudit/shared/score"
	"plaudit/shared/web"
	"plaudit/shared/web/webtest"
)

func TestSchemasAreTheStructs(t *testing.T) {
	webtest.CheckSchemas(t, map[string]any{
		"BoardChanges":   webtest.Without[boardIn]{"id"},
		"NewBoard":       boardIn{},
		"Board":          score.Board{},
		"BoardSummary":   webtest.Without[score.Board]{"catalogue", "owners", "writers", "viewers"},
		"BoardList":      web.Page{},
		"Run":            periodOut{},
		"NewEntry":       entryIn{},
		"Profile":        profileIn{},
		"Entry":          entryOut{},
		"Credit":         creditOut{},
		"NewReversal":    reversalIn{},
		"NewBatch":       batchIn{},
		"BatchItem":      batchItemIn{},
		"Batch":          batchOut{},
		"BatchEntry":     batchEntryOut{},
		"PlayerChanges":  playerIn{},
		"Player":         score.Player{},
		"PlayerList":     web.Page{},
		"PlayerLink":     score.Link{},
		"PlayerLinkList": web.Page{},
		"CategoryCount":  categoryCountOut{},
		"CategoryList":   web.Page{},
		"StandingItem":   standingItemOut{},
		"Standings":      standingsOut{},
		"Standing":       standingOut{},
		"CategoryRank":   categoryOut{},
	})
}
