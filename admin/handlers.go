package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"strings"
	"unicode"
)

func (s *Server) mux() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", s.healthz)
	m.HandleFunc("GET /readyz", s.readyz)
	if s.cfg.Metrics != nil {
		m.Handle("GET /metrics", s.cfg.Metrics)
	}
	for name, get := range s.cfg.API {
		m.HandleFunc("GET /api/"+name, func(w http.ResponseWriter, r *http.Request) { s.api(w, r, name, get) })
	}
	m.Handle("GET /{$}", http.RedirectHandler("/console/", http.StatusFound))
	m.Handle("GET /console/", http.StripPrefix("/console", http.HandlerFunc(serveConsole)))
	if s.cfg.Reload != nil {
		m.HandleFunc("POST /-/reload", s.reload)
	}
	if s.cfg.Pprof {
		m.HandleFunc("GET /debug/pprof/", pprof.Index)
		m.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		m.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		m.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return m
}

func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if !s.cfg.Health() {
		answer(w, r, http.StatusServiceUnavailable, status{Error: "unhealthy"})
		return
	}
	answer(w, r, http.StatusOK, status{Status: "ok"})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready, why := s.cfg.Ready()
	if !ready {
		if s.door.asks && !s.door.hasToken(r) {
			why = nil // they name queues and hosts, and anyone may ask
		}
		answer(w, r, http.StatusServiceUnavailable, status{Error: "not ready", Reasons: why})
		return
	}
	answer(w, r, http.StatusOK, status{Status: "ready"})
}

func (s *Server) api(w http.ResponseWriter, r *http.Request, name string, get func() any) {
	v := get()
	if v == nil {
		answer(w, r, http.StatusNotFound, status{Error: "this router has no " + name + " of its own"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
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
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s)
}

// harmless keeps what could steer the terminal that text is printed on out.
func harmless(r rune) rune {
	if r == '\n' || unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
