package app

// Served returns the patterns of what the admin listener serves, with the query
// parameters of each.
func (a *App) Served() map[string][]string {
	served := map[string][]string{}
	for _, pattern := range a.admin.Patterns() {
		served[pattern] = nil
	}
	for _, e := range a.endpoints() {
		served[e.Pattern] = e.Query
	}
	served["GET /api/events"] = []string{"kinds"}
	return served
}
