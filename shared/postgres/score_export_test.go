package postgres

// What tests look at the plans of.
var (
	TableQuery   = tableQuery
	EntriesQuery = entriesQuery
	BoardsQuery  = boardsQuery
)
