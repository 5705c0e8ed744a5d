package admin

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed console
var consoleFiles embed.FS

// consolePolicy lets the console load its own files and ask this listener, and
// nothing else.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var console = func() http.Handler {
	files, err := fs.Sub(consoleFiles, "console")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return http.FileServerFS(files)
}()

// serveConsole serves the console's files, which say nothing about this router: what
// they show they ask the API for.
func serveConsole(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", consolePolicy)
	w.Header().Set("Referrer-Policy", "no-referrer")
	console.ServeHTTP(w, r)
}
