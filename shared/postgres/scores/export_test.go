package scores

// Queries whose plans are tested.
var (
	TableQuery     = tableQuery
	EntriesQuery   = entriesQuery
	EntriesOfQuery = entriesOfQuery
	PlayersOfQuery = playersOfQuery
	BoardsQuery    = boardsQuery

	PlayersQuery    = playersQuery
	CategoriesQuery = categoriesQuery
)
