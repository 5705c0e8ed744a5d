package app

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/wasmrouter/router/config"
)

func TestSameBroker(t *testing.T) {
	const text = `[broker]
url = "amqp://user@127.0.0.1:5672/v"
username = "me"
password = "one"
[broker.tls]
ca_file = "ca.pem"
`
	parse := func(text string) *config.Config {
		t.Helper()
		cfg, _, err := config.Parse("router.toml", []byte(text), ".")
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	first := brokerConfig(parse(text), slog.New(slog.DiscardHandler))
	for _, tc := range []struct {
		old, new string
		same     bool
	}{
		{"", "", true},
		{"[broker.tls]", "[queues.q]\n[broker.tls]", true}, // topology changes while connected
		{`"one"`, `"two"`, false},
		{`"me"`, `"you"`, false},
		{"5672", "5673", false},
		{"url = \"amqp://user@127.0.0.1:5672/v\"", "urls = [\"amqp://user@127.0.0.1:5672/v\", \"amqp://user@127.0.0.2:5672/v\"]", false},
		{"[broker]\n", "[broker]\nvhost = \"w\"\n", false},
		{"[broker]\n", "[broker]\nheartbeat = \"3s\"\n", false},
		{"[broker]\n", "[broker]\nconnection_name = \"x\"\n", false},
		{"[broker]\n", "[broker]\nallow_plaintext = true\n", false},
		{"ca.pem", "other.pem", false},
		{"[broker.tls]", "[routes.r]\nlisten = \"a\"\nsend = [\"queue:b\"]\nallow_cc = true\n[broker.tls]", false},
	} {
		other := brokerConfig(parse(strings.Replace(text, tc.old, tc.new, 1)), nil)
		if got := sameBroker(first, other); got != tc.same {
			t.Errorf("with %q in place of %q: same is %v, want %v", tc.new, tc.old, got, tc.same)
		}
	}
}
