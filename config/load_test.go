package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, dir, name, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, _, err := parse("router.toml", []byte(text), "testdata", Options{Env: testEnv})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	secrets   = cmp.AllowUnexported(Secret{}, URL{})
	positions = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".doc" }, cmp.Ignore())
)

const full = `
[broker]
urls = ["amqps://a.example/v", "amqps://b.example:5671/v"]
username = "user"
password = 'p$a${env:NUMBER}$${x}'
vhost = "other"
connection_name = "${env:MISSING:-router}-${env:NUMBER}"
heartbeat = "20s"
dial_timeout = "1s"
write_timeout = "2s"
confirm_timeout = "3s"
[broker.tls]
ca_file = "tls/ca.pem"
cert_file = "/abs/cert.pem"
key_file = "/abs/key.pem"
server_name = "rabbit"
external = true

[exchanges.orders]
type = "topic"
durable = false
arguments = { alternate-exchange = "rest" }

[queues."orders.in"]
type = "quorum"
arguments.x-max-length = 1000
arguments.nested = { a = [1, "two", { three = 3.0 }], t = true, at = 2024-01-02T03:04:05Z }
[[queues."orders.in".bind]]
exchange = "orders"
key = "#"
arguments = { x-match = "all" }
[[queues."orders.in".bind]]
exchange = "amq.topic"

[filters.f]
path = "filters/f.wasm"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
stages = ["decode", "decide"]
on_error = "pass"
config = { name = "${env:QUEUE}", list = [{ a = 1 }, { a = 2 }] }
limits = { time = "20ms", memory = "1MiB", fuel = 7000, start_fuel = 8000, table = 9, stack = "2MiB", log_rate = 7, instances = 17, recycle = 80, restart_backoff = "2s", max_backoff = "3s" }
grants = { clock = true }

[filters.f.shadow]
path = "filters/g.wasm"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
stages = ["decide"]
config = { name = "new" }
share = 5
promote_after = 1000
max_differences = 3
max_latency = "7ms"

[routes.orders]
listen = "${env:QUEUE}"
prefetch = "${env:NUMBER}"
exclusive = "${env:MISSING:-true}"
priority = -5
filters = ["f", "f"]
send = ["queue:out", "exchange:e/k"]
allow = ["queue:*"]
order = "key"
order_by = "property:correlation_id"
on_error = "retry"
max_message = "${env:NUMBER}KiB"
retry = { max_attempts = 9 }
dedup = { window = 0 }

[routes.audit]
listen = "audit"
send = ["fanout:x"]
dead_letter = "graves"

[process]
drain_timeout = "0s"
cache_dir = "cache"
cache_size = "64MiB"
[admin]
listen = ""
pprof = false
[log]
level = "debug"
format = "json"
`

func TestEveryKeyIsRead(t *testing.T) {
	got := mustParse(t, full)
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	d := Default()
	orders, audit, f, exchange, queue := d.Route, d.Route, d.Filter, d.Exchange, d.Queue
	orders.Listen, orders.DeadLetter, orders.Prefetch, orders.Exclusive, orders.Priority = "orders.in", "orders.in.dead", 64, true, -5
	orders.Filters, orders.Send, orders.Allow = []string{"f", "f"}, []string{"queue:out", "exchange:e/k"}, []string{"queue:*"}
	orders.Order, orders.OrderBy, orders.Parallel, orders.OnError = "key", "property:correlation_id", 4, "retry"
	orders.MaxMessage, orders.Retry.MaxAttempts, orders.Dedup.Window = 64*KiB, 9, 0
	audit.Listen, audit.Send, audit.DeadLetter, audit.Parallel = "audit", []string{"fanout:x"}, "graves", 1
	f.Path, f.SHA256 = "filters/f.wasm", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	f.Stages, f.OnError, f.Grants.Clock = []string{"decode", "decide"}, "pass", true
	l := &f.Limits
	l.Time, l.Memory, l.Fuel, l.StartFuel, l.Table, l.Stack = Duration(20*time.Millisecond), MiB, 7000, 8000, 9, 2*MiB
	l.LogRate, l.Instances, l.Recycle, l.RestartBackoff, l.MaxBackoff = 7, 17, 80, Duration(2*time.Second), Duration(3*time.Second)
	f.Config = Table{"name": "orders.in", "list": []any{map[string]any{"a": int64(1)}, map[string]any{"a": int64(2)}}}
	f.Shadow = Shadow{
		Path: "filters/g.wasm", SHA256: f.SHA256, Stages: []string{"decide"}, Config: Table{"name": "new"},
		Share: 5, PromoteAfter: 1000, MaxDifferences: 3, MaxLatency: Duration(7 * time.Millisecond),
	}
	exchange.Type, exchange.Durable, exchange.Arguments = "topic", false, Table{"alternate-exchange": "rest"}
	queue.Type = "quorum"
	queue.Arguments = Table{
		"x-max-length": int64(1000),
		"nested": map[string]any{
			"a": []any{int64(1), "two", map[string]any{"three": 3.0}}, "t": true,
			"at": time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC),
		},
	}
	queue.Bind = []Binding{{Exchange: "orders", Key: "#", Arguments: Table{"x-match": "all"}}, {Exchange: "amq.topic"}}
	want := &Config{
		Broker: Broker{
			URLs:     []URL{NewURL("amqps://a.example/v"), NewURL("amqps://b.example:5671/v")},
			Username: "user", Password: NewSecret("p$a64${x}"), VHost: "other", ConnectionName: "router-64",
			Heartbeat: Duration(20 * time.Second), DialTimeout: Duration(time.Second),
			WriteTimeout: Duration(2 * time.Second), ConfirmTimeout: Duration(3 * time.Second),
			TLS: TLS{CAFile: filepath.Join(dir, "tls/ca.pem"), CertFile: "/abs/cert.pem", KeyFile: "/abs/key.pem", ServerName: "rabbit", External: true},
		},
		Exchanges: map[string]Exchange{"orders": exchange},
		Queues:    map[string]Queue{"orders.in": queue},
		Filters:   map[string]Filter{"f": f},
		Routes:    map[string]Route{"orders": orders, "audit": audit},
		Process:   Process{CacheDir: filepath.Join(dir, "cache"), CacheSize: 64 * MiB},
		Log:       Log{Level: "debug", Format: "json"},
	}
	if diff := cmp.Diff(want, got, secrets, positions); diff != "" {
		t.Error(diff)
	}
}

func TestNothingWrittenIsAllDefaults(t *testing.T) {
	want := Default().Config
	want.Broker.URL = NewURL(DefaultURL)
	if diff := cmp.Diff(&want, mustParse(t, ""), secrets, positions); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsDumpedCanBeLoaded(t *testing.T) {
	b := &strings.Builder{}
	c := mustParse(t, full)
	if err := c.Dump(b); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"full": b.String(), "empty": dump(t, mustParse(t, "")),
		"plain": dump(t, mustParse(t, "[filters.f]\npath = \"f.wasm\"\n[queues.q]\n[exchanges.e]\ntype = \"topic\"\n[routes.r]\nlisten = \"q\"\nfilters = [\"f\"]\n")),
	} {
		text = strings.ReplaceAll(text, `"***"`, `"17"`)
		if _, _, err := Parse(name, []byte(text), "testdata"); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

func TestPositionAndErrorf(t *testing.T) {
	c := mustParse(t, "[queues.\"a.b\"]\narguments = { x = [1, 2] }\n[routes.\"a.b\"]\nlisten = \"a.b\"\nsend = [\"queue:x\",\n  \"queue:ü\", \"queue:z\"]\n")
	for _, test := range []struct {
		keys string
		want [2]int
		text string
	}{
		{"queues|a.b", [2]int{1, 9}, `queues."a.b"`},
		{"queues|a.b|arguments|x|1", [2]int{2, 23}, `queues."a.b".arguments.x[1]`},
		{"routes|a.b|listen", [2]int{4, 10}, `routes."a.b".listen`},
		{"routes|a.b|send|2", [2]int{6, 14}, `routes."a.b".send[2]`},
		{"routes", [2]int{3, 2}, "routes"},
	} {
		keys := strings.Split(test.keys, "|")
		line, col, ok := c.Position(keys...)
		if !ok || [2]int{line, col} != test.want {
			t.Errorf("%s: %d:%d, %v", test.keys, line, col, ok)
		}
		e := c.Errorf(keys, "", "bad")
		if e.Line != test.want[0] || e.Col != test.want[1] || e.Key != test.text || e.File != "router.toml" {
			t.Errorf("%s: %v", test.keys, e)
		}
	}
	for _, keys := range [][]string{nil, {"log"}, {"routes", "a.b", "send", "3"}, {"routes", "a.b", "send", "x"}, {"routes", "a.b", "listen", "x"}} {
		if _, _, ok := c.Position(keys...); ok {
			t.Errorf("%v has a position", keys)
		}
	}
	e := c.Errorf([]string{"routes", "a.b", "allow"}, "add it", "missing: %w", fs.ErrNotExist)
	if got := e.Error(); got != `router.toml:3:9: routes."a.b".allow: missing: file does not exist; add it` {
		t.Error(got)
	}
	if !errors.Is(Errors{e}, fs.ErrNotExist) {
		t.Error("the cause is lost")
	}
	if found, ok := errors.AsType[*Error](error(Errors{e})); !ok || found != e {
		t.Error("an Error is not found among Errors")
	}
	if got := new(Config).Errorf([]string{"log"}, "", "x").Error(); !strings.Contains(got, "log: x") {
		t.Error(got)
	}
}

func TestLoadNamesTheFileItCannotRead(t *testing.T) {
	dir := t.TempDir()
	large := write(t, dir, "large.toml", strings.Repeat("# x\n", 1<<18+1), 0o600)
	for path, want := range map[string]string{
		filepath.Join(dir, "no.toml"): "no such file",
		dir:                           "not a regular file",
		large:                         "too large: the limit is 1MiB",
	} {
		_, _, err := Load(path, Options{})
		all, ok := errors.AsType[Errors](err)
		if !ok || len(all) != 1 || all[0].File != path || !strings.Contains(all[0].Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, _, err := Load(filepath.Join(dir, "no.toml"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
	exact := write(t, dir, "exact.toml", strings.Repeat("# x\n", 1<<18), 0o600)
	if _, _, err := Load(exact, Options{}); err != nil {
		t.Error(err)
	}
	if _, _, err := Parse("x", make([]byte, MaxFileSize+1), "."); err == nil || !strings.Contains(err.Error(), "x:1:1: it is too large") {
		t.Error(err)
	}
}

func TestSecretsThatOthersCanReadAreDoubted(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "open", "s\n", 0o644)
	write(t, dir, "closed", "s\n", 0o640)
	write(t, dir, "open.key", "k", 0o644)
	write(t, dir, "closed.key", "k", 0o640)
	const route = "[routes.r]\nlisten = \"q\"\nsend = [\"queue:x\"]\n"
	for _, test := range []struct {
		text string
		mode fs.FileMode
		want []string
	}{
		{"[broker]\npassword = \"${file:open}\"\n", 0o600, []string{"2:12: broker.password: every user of this machine can read the secret file \"open\""}},
		{"[broker]\npassword = \"${file:closed}\"\n", 0o644, nil},
		{"[broker]\npassword = \"x\"\n", 0o600, nil},
		{"[broker]\npassword = \"x\"\n", 0o644, []string{"2:12: broker.password: every user"}},
		{"[broker]\nurl = \"amqp://u:p@localhost/\"\n[admin]\ntoken = \"t\"\n", 0o604, []string{"2:7: broker.url: every user", "4:9: admin.token: every user"}},
		{"[broker]\nurls = [\"amqp://u@localhost/\"]\n", 0o644, nil},
		{"[broker]\nurl = 'amqps://h/'\ntls.cert_file = 'c'\ntls.key_file = 'open.key'\n", 0o600, []string{"4:16: broker.tls.key_file: every user"}},
		{"[broker]\nurl = 'amqps://h/'\ntls.cert_file = 'c'\ntls.key_file = 'closed.key'\n", 0o600, nil},
		{"[admin]\ncert_file = 'c'\nkey_file = 'open.key'\n", 0o600, []string{"3:12: admin.key_file: every user"}},
	} {
		path := write(t, dir, "router.toml", test.text+route, test.mode)
		c, warnings, err := Load(path, Options{Env: testEnv})
		if err != nil {
			t.Fatal(err)
		}
		if c.File() != path || c.Dir() != dir {
			t.Errorf("file %s, directory %s", c.File(), c.Dir())
		}
		ok := len(warnings) == len(test.want)
		for i := range test.want {
			ok = ok && strings.HasPrefix(warnings[i].String(), path+":"+test.want[i])
		}
		if !ok {
			t.Errorf("%s mode %v: %v", test.text, test.mode, warnings)
		}
	}
}

func TestSecretFilesLoseOneLineEnd(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a b \n": " a b ", "": ""} {
		write(t, dir, "secret", text, 0o600)
		c, _, err := Parse("router.toml", []byte(`admin.token = "<${file:secret}>"`), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Admin.Token.Reveal(); got != "<"+want+">" {
			t.Errorf("%q gives %q", text, got)
		}
	}
}

func dump(t *testing.T, c *Config) string {
	t.Helper()
	b := &strings.Builder{}
	if err := c.Dump(b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEveryRuleCanBeRead(t *testing.T) {
	known := map[string]bool{"required": true, "one": true, "min": true, "max": true}
	rules := 0
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for field := range typ.Fields() {
			inner := field.Type
			if k := inner.Kind(); k == reflect.Map && inner != tableType || k == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && field.IsExported() {
				walk(inner)
			}
			if tag := field.Tag.Get("rule"); tag != "" {
				rules++
				for word := range strings.SplitSeq(tag, ",") {
					if name, _, _ := strings.Cut(word, "="); !known[name] {
						t.Errorf("%s.%s: %s", typ, field.Name, tag)
					}
				}
			}
			if field.Tag.Get("toml") != field.Tag.Get("json") || field.IsExported() != (field.Tag.Get("toml") != "") && typ != secretType && typ != urlType {
				t.Errorf("%s.%s: %s", typ, field.Name, field.Tag)
			}
			if rule := RuleOf(field); inner.Kind() == reflect.Int || inner.Kind() == reflect.Int64 {
				const none = -1 << 60
				low, high := bound(rule.Min, inner, none), bound(rule.Max, inner, -none)
				if (rule.Min != "" && low == none) || (rule.Max != "" && high == -none) || low > high {
					t.Errorf("%s.%s: %+v", typ, field.Name, rule)
				}
			}
		}
	}
	walk(reflect.TypeFor[Config]())
	if rules < 30 {
		t.Errorf("%d rules", rules)
	}
}
