package config

import (
	"net/url"
	"strings"
)

// checkTelemetry judges where traces are to go.
func (c *Config) checkTelemetry(b *binder) {
	at := func(key string) []string { return []string{"telemetry", key} }
	t := c.Telemetry
	if t.Endpoint == "" {
		return
	}
	u, err := url.Parse(t.Endpoint)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		b.refuse(at("endpoint"), "write http://HOST:PORT or https://HOST:PORT; the port is mostly 4318", "not the URL of a receiver of OTLP over HTTP")
		return
	case u.User != nil:
		b.refuse(at("endpoint"), `write headers = "authorization=..."`, "a user's name and password have no place here")
		return
	case u.RawQuery != "" || u.Fragment != "":
		b.refuse(at("endpoint"), "end it with the path", "has more than a path behind the host")
		return
	}
	if t.CAFile != "" && u.Scheme != "https" {
		b.refuse(at("ca_file"), "write https:// in endpoint, or take it out", "nothing is encrypted with an http:// endpoint")
	}
	if !t.Headers.IsZero() && u.Scheme != "https" && !loopback(u.Hostname()) {
		b.doubt(at("headers"), "write https:// in endpoint", "anyone on the way can read them")
	}
	for pair := range strings.SplitSeq(t.Headers.Reveal(), ",") {
		if name, _, ok := strings.Cut(pair, "="); !t.Headers.IsZero() && (!ok || strings.TrimSpace(name) == "") {
			b.refuse(at("headers"), "write NAME=VALUE, with commas between headers and %2C for one in a value", "not a list of headers")
			return
		}
	}
}
