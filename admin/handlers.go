package admin

import (
	"context"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"unicode"
)

// mux returns what serves the endpoints, and notes the pattern of each.
func (s *Server) mux() *http.ServeMux {
	m := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) {
		s.patterns = append(s.patterns, pattern)
		m.HandleFunc(pattern, h)
	}
	handle("GET /healthz", s.healthz)
	handle("GET /readyz", s.readyz)
	if s.cfg.Metrics != nil {
		handle("GET /metrics", s.cfg.Metrics.ServeHTTP)
	}
	handle("GET /api/openapi.yaml", serveOpenAPI)
	if s.cfg.Events != nil {
		handle("GET /api/events", s.cfg.Events.stream)
	}
	for _, e := range s.cfg.Endpoints {
		handle(e.Pattern, endpoint(e))
	}
	if s.cfg.Reload != nil {
		handle("POST /api/reload", s.reload)
		handle("POST /-/reload", s.reload)
	}
	m.Handle("GET /{$}", http.RedirectHandler("/console/", http.StatusFound))
	m.Handle("GET /console/", http.StripPrefix("/console", http.HandlerFunc(serveConsole)))
	if s.cfg.Pprof {
		m.HandleFunc("GET /debug/pprof/", pprof.Index)
		m.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		m.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		m.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return m
}

// Patterns returns "METHOD PATH" of everything that is served but the console and
// Go's profiles, which are no API.
func (s *Server) Patterns() []string { return slices.Clone(s.patterns) }

func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if !s.cfg.Health() {
		answer(w, r, http.StatusServiceUnavailable, status{Error: "unhealthy"})
		return
	}
	answer(w, r, http.StatusOK, status{Status: "ok"})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready, why := s.cfg.Ready()
	if s.door.asks && !s.door.hasToken(r) {
		why = nil // they name queues and hosts, and anyone may ask
	}
	if !ready {
		answer(w, r, http.StatusServiceUnavailable, status{Error: "not ready", Reasons: why})
		return
	}
	answer(w, r, http.StatusOK, status{Status: "ready", Reasons: why})
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	select {
	case s.reloading <- struct{}{}:
		defer func() { <-s.reloading }()
	default:
		answer(w, r, http.StatusConflict, status{Error: "a reload is running"})
		return
	}
	// A client that leaves does not leave half a reload behind.
	if err := s.cfg.Reload(context.WithoutCancel(r.Context())); err != nil {
		answer(w, r, http.StatusInternalServerError, status{Error: err.Error()})
		return
	}
	answer(w, r, http.StatusOK, status{Status: "reloaded"})
}

// status is the answer of the endpoints of ours: Status or Error.
type status struct {
	Status  string   `json:"status,omitempty"`
	Error   string   `json:"error,omitempty"`
	Reasons []string `json:"reasons,omitempty"`
}

// answer writes JSON, or lines of text for clients that ask for text.
func answer(w http.ResponseWriter, r *http.Request, code int, s status) {
	if strings.Contains(r.Header.Get("Accept"), "text/") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		lines := append([]string{s.Status + s.Error}, s.Reasons...)
		_, _ = w.Write([]byte(strings.Map(harmless, strings.Join(lines, "\n")) + "\n"))
		return
	}
	sendJSON(w, code, s)
}

// harmless keeps what could steer the terminal that text is printed on out.
func harmless(r rune) rune {
	if r == '\n' || unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
