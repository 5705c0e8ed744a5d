package admin

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// FuzzGuard sends requests with any Host, Authorization, Origin and Sec-Fetch-Site
// to the admin listener. Nothing but health is told without the token, no web
// page of others has anything done, and without a token only a host that can be ours is
// answered.
func FuzzGuard(f *testing.F) {
	f.Add("localhost:9090", "Bearer token", "", "", "/metrics", "127.0.0.1", "token", false)
	f.Add("[::1]", "bearer  token ", "null", "same-origin", "/-/reload", "0.0.0.0", "token", true)
	f.Add("evil.example", "Basic dG9rZW4=", "https://evil.example", "cross-site", "/healthz", "::1", "", true)
	f.Add("127.0.0.1.evil.example:80", "Bearer ", "", "same-site", "/readyz", "router.example", "", false)
	f.Add("[fe80::1%25eth0]:1", "Bearer", "", "none", "//readyz", "", "x", false)
	f.Fuzz(func(t *testing.T, host, authorization, origin, site, path, listen, token string, post bool) {
		passed := false
		g := newGuard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true }), listen, token)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if post {
			r.Method = http.MethodPost
		}
		r.Host, r.URL.Path = host, path
		r.Header.Set("Authorization", authorization)
		for name, value := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if !passed && w.Code < 400 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%d, %v", w.Code, w.Header())
		}
		given := len(authorization) > 7 && strings.EqualFold(authorization[:7], "bearer ") && strings.TrimSpace(authorization[7:]) == token
		if token != "" && given != g.hasToken(r) && strings.TrimSpace(token) == token {
			t.Errorf("%q is the token %q: %t", authorization, token, g.hasToken(r))
		}
		if !passed {
			return
		}
		if path == "/" || strings.HasPrefix(path, "/console/") {
			return // these pages are the same everywhere, and know nothing
		}
		if token != "" && !given && path != "/healthz" && path != "/readyz" {
			t.Errorf("%q lets %q in to %q", token, authorization, path)
		}
		own := site == "same-origin" || site == "none" || site == "" && (origin == "" || strings.HasSuffix(origin, "://"+host))
		if site == "cross-site" || site == "same-site" || post && !own {
			t.Errorf("a web page came through: %q, %q to %q", origin, site, host)
		}
		if token != "" && given {
			return
		}
		name := host
		if i := strings.LastIndexByte(name, ':'); i >= 0 && (strings.Count(name, ":") == 1 || strings.Contains(name, "]")) && !strings.HasSuffix(name, "]") {
			name = name[:i]
		}
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
		_, err := netip.ParseAddr(name)
		if err != nil && !strings.EqualFold(name, "localhost") && !strings.EqualFold(name, listen) {
			t.Errorf("the host %q is ours, who listen at %q", host, listen)
		}
	})
}
