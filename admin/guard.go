package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard lets through what may be answered. It stands before the mux, so that
// who has no token learns nothing about which paths there are.
type guard struct {
	next  http.Handler
	host  string   // of the listen address
	token [32]byte // the digest of it
	asks  bool     // whether there is a token
}

func newGuard(next http.Handler, host, token string) *guard {
	return &guard{next: next, host: host, token: sha256.Sum256([]byte(token)), asks: token != ""}
}

// ServeHTTP implements [http.Handler].
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")

	known := g.asks && g.hasToken(r)
	static := r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/console/") // the same everywhere
	switch {
	case static:
		g.next.ServeHTTP(w, r)
	case !known && r.TLS == nil && !g.knowsHost(r.Host):
		// A page whose name was made to resolve to this address; a browser
		// does not have the token, and over TLS it wants a certificate of that
		// name.
		http.Error(w, "this is not the host of that name; use localhost, the address, or the token", http.StatusMisdirectedRequest)
	case g.asks && !known && r.URL.Path != "/healthz" && r.URL.Path != "/readyz":
		h.Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a token is required: Authorization: Bearer TOKEN", http.StatusUnauthorized)
	case fromBrowser(r):
		http.Error(w, "requests from web pages of others are refused", http.StatusForbidden)
	default:
		g.next.ServeHTTP(w, r)
	}
}

// hasToken compares digests, which are of one length, in constant time.
func (g *guard) hasToken(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// knowsHost reports whether the Host header can be ours. A name that is not
// may be an attacker's that now resolves to us; an address cannot.
func (g *guard) knowsHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	if loopback(host) {
		return true
	}
	if loopback(g.host) {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err == nil || g.host != "" && strings.EqualFold(host, g.host)
}

// ownOrigin lets through what changes something if no web page has sent it, or
// one of this listener, which is the console.
var ownOrigin = http.NewCrossOriginProtection()

// fromBrowser reports whether a web page of others may have sent the request: one
// that changes something, or that the page makes the browser send, such as the
// picture that is a profile of a minute.
func fromBrowser(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		site := r.Header.Get("Sec-Fetch-Site")
		return site == "cross-site" || site == "same-site"
	}
	return ownOrigin.Check(r) != nil
}
