package postgres

// TableQuery is what a test looks at the plan of.
const TableQuery = tableQuery
