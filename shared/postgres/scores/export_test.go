package scores

// Queries whose plans are tested.
var (
	TableQuery     = tableQuery
	EntriesQuery   = entriesQuery
	EntriesOfQuery = entriesOfQuery
	LinksQuery     = linksQuery
	BoardsQuery    = boardsQuery

	PlayersQuery    = playersQuery
	CategoriesQuery = categoriesQuery
)
