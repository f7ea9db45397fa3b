package scores

// What tests look at the plans of.
var (
	TableQuery     = tableQuery
	EntriesQuery   = entriesQuery
	EntriesOfQuery = entriesOfQuery
	LinksQuery     = linksQuery
	BoardsQuery    = boardsQuery
)
