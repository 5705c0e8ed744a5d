package amqp

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseURL(t *testing.T) {
	tests := []struct {
		url  string
		want endpoint
	}{
		{"amqp://h", endpoint{"h:5672", "h", false, "/", "guest", "guest"}},
		{"amqps://h", endpoint{"h:5671", "h", true, "/", "guest", "guest"}},
		{"amqp://h:1/", endpoint{"h:1", "h", false, "/", "guest", "guest"}},
		{"amqp://h//", endpoint{"h:5672", "h", false, "/", "guest", "guest"}},
		{"amqp://h/%2F", endpoint{"h:5672", "h", false, "/", "guest", "guest"}},
		{"amqp://h/a%2Fb/c", endpoint{"h:5672", "h", false, "a/b/c", "guest", "guest"}},
		{"amqp://u:p@h/v", endpoint{"h:5672", "h", false, "v", "u", "p"}},
		{"amqp://u@h", endpoint{"h:5672", "h", false, "/", "u", "guest"}},
		{"amqp://u:@h", endpoint{"h:5672", "h", false, "/", "u", ""}},
		{"amqp://u%40x:%2F%3F%23%25:@h", endpoint{"h:5672", "h", false, "/", "u@x", "/?#%:"}},
		{"amqp://u:a@b@h", endpoint{"h:5672", "h", false, "/", "u", "a@b"}},
		{"amqp://u:a+b@h", endpoint{"h:5672", "h", false, "/", "u", "a+b"}},
		{"amqp://[::1]", endpoint{"[::1]:5672", "::1", false, "/", "guest", "guest"}},
		{"amqps://[::1]:7/x", endpoint{"[::1]:7", "::1", true, "x", "guest", "guest"}},
	}
	for _, tt := range tests {
		got, err := parseURL(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(endpoint{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.url, diff)
		}
	}
}

const canary = "s3cr3t-canary"

func TestNoErrorHoldsAPassword(t *testing.T) {
	for _, form := range []string{
		"amqp://u:%s%%et@h/", "amqp://u:%%%s@h/", "amqp://u:%s/x@h/", "amqp://%s:123/x@h/", "amqp://u:%s?@h/", "amqp://u:%s#@h/",
		"amqp://u:%s@h:port/", "amqp://u:%s@h:0/", "amqp://u:%s@h:70000/", "amqp://u:%s@/", "amqp://u:%s@h/?x=1",
		"amqp://u:%s@::1/", "amqp://u:%s@[::1/", "u:%s@h", "http://u:%s@h/", "amqp://u:%s@h/%%zz", "amqp:u:%s@h",
		"amqp://u:%s@far.example/", // refused for its plain text
	} {
		raw := fmt.Sprintf(form, canary)
		b, err := New(Config{URLs: []string{raw}})
		if err == nil {
			t.Errorf("%s: no error, %+v", raw, b.endpoints)
			continue
		}
		if strings.Contains(err.Error(), canary[:4]) {
			t.Errorf("%s: the error holds the password: %v", raw, err)
		}
	}
}

func TestPlainPasswordsStayOnTheMachine(t *testing.T) {
	for raw, ok := range map[string]bool{
		"amqp://localhost": true, "amqp://127.0.0.9": true, "amqp://[::1]": true, "amqp://[::ffff:127.0.0.1]": true,
		"amqp://10.0.0.1": false, "amqp://localhost.example.org": false, "amqp://[2001:db8::1]": false,
		"amqps://10.0.0.1": true,
	} {
		if _, err := New(Config{URLs: []string{raw}}); (err == nil) != ok {
			t.Errorf("%s: %v, want allowed: %v", raw, err, ok)
		}
		if _, err := New(Config{URLs: []string{raw}, AllowPlaintext: true}); err != nil {
			t.Errorf("%s with plaintext allowed: %v", raw, err)
		}
	}
}

func TestTheWayToAllowPlaintextIsNamed(t *testing.T) {
	_, err := New(Config{URLs: []string{"amqp://10.0.0.1"}})
	for _, way := range []string{"amqps://", "[broker]", "allow_plaintext = true", "--allow-plaintext"} {
		if err == nil || !strings.Contains(err.Error(), way) {
			t.Errorf("New = %v, want %s in it", err, way)
		}
	}
}

func TestUsernameAndPasswordOverrideTheURL(t *testing.T) {
	b, err := New(Config{URLs: []string{"amqp://u:p@127.0.0.1/v", "amqp://127.0.0.2"}, Username: "name", Password: "a?/:@", VHost: "w"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range b.endpoints {
		if e.username != "name" || e.password != "a?/:@" || e.vhost != "w" {
			t.Errorf("endpoint: %+v", e)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"amqp://u:p@h:1/v", "amqps://[::1]:7/x", "amqp://u:%zz@h", "amqp://a@b@c/d@e"} {
		f.Add(s, "password")
	}
	f.Fuzz(func(t *testing.T, raw, password string) {
		_, _ = parseURL(raw)
		escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
		e, err := parseURL("amqp://" + escape("us:er") + ":" + escape(password) + "@host/")
		if err != nil || e.password != password || e.username != "us:er" {
			t.Errorf("password %q was read as %q, %v", password, e.password, err)
		}
	})
}

func TestNewNamesTheFieldAtFault(t *testing.T) {
	for words, cfg := range map[string]Config{
		"heartbeat":          {Heartbeat: 1},
		"largest backoff":    {Backoff: Backoff{Initial: 2e9, Max: 1e9}},
		"MaxInFlight":        {MaxInFlight: -1},
		"MaxInFlightBytes":   {MaxInFlightBytes: -1},
		"2000":               {ChannelPool: ChannelPool{Max: 3000}},
		"key file":           {TLS: TLSConfig{CertFile: "x"}},
		"amqps":              {TLS: TLSConfig{External: true, CertFile: "x", KeyFile: "y"}},
		"connection name":    {ConnectionName: "a\nb"},
		"classic or quorum":  {Topology: Topology{Queues: []Queue{{Name: "q", Type: "odd"}}}},
		"is durable":         {Topology: Topology{Queues: []Queue{{Name: "q", Type: "quorum"}}}},
		`exchange ""`:        {Topology: Topology{Exchanges: []Exchange{{}}}},
		"default exchange":   {Topology: Topology{Bindings: []Binding{{Queue: "q"}}}},
		"no AMQP type":       {Topology: Topology{Queues: []Queue{{Name: "q", Arguments: map[string]any{"x": struct{}{}}}}}},
		"channel pool: pool": {ChannelPool: ChannelPool{MinIdle: -1}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("New = %v, want %q in it", err, words)
		}
	}
}
