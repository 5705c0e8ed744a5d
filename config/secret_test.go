package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

const canary = "canary-7f3a"

// prints returns a value printed in every way there is.
func prints(v any) string {
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	data, err := json.Marshal(v)
	fmt.Fprintln(&b, string(data), err)
	log := &bytes.Buffer{}
	slog.New(slog.NewTextHandler(log, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(log, nil)).Info("x", "v", v)
	return b.String() + log.String()
}

func TestSecretsPrintAsStars(t *testing.T) {
	s := NewSecret(canary)
	for _, v := range []any{s, &s, []Secret{s}, map[string]Secret{"k": s}, struct{ S Secret }{s}, Broker{Password: s}} {
		got := prints(v)
		if strings.Contains(got, canary) || !strings.Contains(got, hidden) || strings.Contains(got, fmt.Sprintf("%x", canary)) {
			t.Errorf("%T: %s", v, got)
		}
	}
	tree := &bytes.Buffer{}
	if err := toml.NewEncoder(tree).Encode(map[string]any{"v": s}); err != nil || strings.Contains(tree.String(), canary) {
		t.Errorf("%v: %s", err, tree)
	}
	if s.GoString() != hidden || NewURL("x").GoString() != hidden || NewURL("x").LogValue().String() != hidden {
		t.Error("a secret is shown to itself")
	}
	if s.Reveal() != canary || s.IsZero() || !(Secret{}).IsZero() || (Secret{}).String() != "" {
		t.Error("the secret itself is lost, or an empty one prints as stars")
	}
}

func TestAddressesPrintWithoutPassword(t *testing.T) {
	for text, want := range map[string]string{
		"amqp://user:" + canary + "@host:1/v": "amqp://user:***@host:1/v",
		"amqp://user@host/":                   "amqp://user@host/",
		"amqp://host/%2F":                     "amqp://host/%2F",
		"amqp://u:%zz" + canary + "@host/":    hidden,
		"amqp://u:a/" + canary + "@host/":     hidden,
		"amqp://h/?password=" + canary:        "amqp://h/?***",
		canary + ":5672":                      hidden,
		"amqp:" + canary:                      hidden,
		"":                                    "",
	} {
		u := NewURL(text)
		if got := u.String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if got := prints([]any{u, &u, Broker{URL: u, URLs: []URL{u}}}); strings.Contains(got, canary) {
			t.Error(got)
		}
		if u.Reveal() != text || u.IsZero() != (text == "") {
			t.Error("the address itself is lost")
		}
	}
}

// TestNoSecretIsEverShown puts a canary wherever a secret can be, in files that
// are right and wrong, and looks for it in all that the package gives out.
func TestNoSecretIsEverShown(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "secret", canary+"\n", 0o644)
	env := Options{Env: func(name string) (string, bool) { return canary, name == "SECRET" }}
	const route = "\n[routes.r]\nlisten = \"q\"\nsend = [\"queue:x\"]\n"
	var texts []string
	for _, secret := range []string{canary, "${env:SECRET}", "${file:secret}", "x${env:SECRET}${file:secret}y"} {
		for _, form := range []string{
			"password = \"%s\"", "password = '%s'", "password = \"\"\"\n%s\"\"\"", "password = [\"%s\"]", "password = { a = \"%s\" }",
			"password = %s", "password = \"%s", "password = '%s", "password = \"%s\\q\"", "password = \"%s\" x", "password = \"%s\"\npassword = 1",
			"password \"%s\"", "password = \"\\u%s\"", "password = 0x%s", "password = +%s", "password = \"%s${\"", "password = \"${%s}\"",
			"password = \"${file:%s}\"\npassword = \"%s\"", "pasword = \"%s\"", "pasword = %s", "password.x = \"%s\"", "heartbeat = \"${env:SECRET}\" # %s",
			"url = \"amqp://u:%s@localhost/\"", "url = \"amqp://u:%s@host/\"", "url = \"amqp://u:%s@:99999/\"", "url = \"amqp://u:%s%%zz@h/\"",
			"url = \"%s\"", "url = \"amqps://u:a/%s@h/\"", "url = \"amqp://localhost/?p=%s\"", "url = [\"amqp://u:%s@h/\"]", "url = amqp://u:%s@h/",
			"urls = [\"amqp://u:%s@localhost/\", \"amqp://v:%s@localhost/\"]", "urls = \"amqp://u:%s@h/\"", "urls = [\"amqp://u:%s@h/\" \"x\"]",
			"heartbeat = \"1s\"\n[admin]\ntoken = \"%s\"", "heartbeat = \"1s\"\n[admin]\ntoken = %s", "heartbeat = \"1s\"\n[admin]\ntoken = 1\nlisten = \"${env:SECRET}\"#%s",
			"heartbeat = \"1s\"\n[filters.f]\npath = \"f.wasm\"\nconfig = { api_key = \"%s\", deep = { list = [\"${env:SECRET}\", { Password = \"%s\" }] } }",
			"heartbeat = \"1s\"\n[queues.q]\narguments = { token = \"%s\", x = \"${env:SECRET}\" }",
			"heartbeat = \"1s\"\n[log]\nlevel = \"${env:SECRET}\"\n[broker.%s",
			"connection_name = \"a ${env:SECRET}\"",
		} {
			texts = append(texts, "[broker]\n"+strings.ReplaceAll(strings.ReplaceAll(form, "%s", secret), "%%", "%")+route)
		}
	}
	accepted := 0
	for _, text := range texts {
		c, warnings, err := parse("router.toml", []byte(text), dir, env)
		if got := prints(err) + prints(warnings) + report(warnings, err); strings.Contains(strings.ReplaceAll(got, "${file:"+canary, ""), canary) {
			t.Errorf("%s\nis shown in\n%s", text, got)
		}
		if c == nil {
			continue
		}
		accepted++
		got := prints(c) + dump(t, c) + prints(c.Redacted()) + prints(*c)
		got += c.Errorf([]string{"broker", "password"}, "", "bad").Error()
		got += fmt.Sprintf("%v %+v %#v %v", c.Filters, c.Filters["f"], c.Filters["f"].Config, c.Queues)
		got += c.Filters["f"].Config.LogValue().String()
		if strings.Contains(got, canary) {
			t.Errorf("%s\nis shown in\n%s", text, got)
		}
	}
	if accepted < 20 {
		t.Errorf("only %d files were accepted", accepted)
	}
}

func TestTheExampleFilesOfThisPackageHoldNoCanary(t *testing.T) {
	files, err := os.ReadDir("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile("testdata/bad/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f.Name(), ".golden") && bytes.Contains(data, []byte("canary")) {
			t.Errorf("%s shows a password", f.Name())
		}
	}
}

func TestDumpShowsWhatIsInForce(t *testing.T) {
	c := mustParse(t, "[broker]\nusername = \"u\"\npassword = \"p\"\nurl = \"amqp://a:b@localhost/\"\n[filters.f]\npath = \"f.wasm\"\nconfig = { a = 1, secret = \"x\", from = \"${env:QUEUE}\" }\n[routes.r]\nlisten = \"q\"\nfilters = [\"f\"]\nprefetch = \"${env:NUMBER}\"\norder = \"${env:ORDER:-none}\"\n")
	got := dump(t, c)
	for _, want := range []string{
		"password = \"***\"", "url = \"amqp://a:***@localhost/\"", "heartbeat = \"10s\"", "dead_letter = \"q.dead\"", "parallel = 4", "prefetch = 64", "order = \"none\"",
		"a = 1\nfrom = \"***\"\nsecret = \"***\"", "max_message = \"4MiB\"", "listen = \"127.0.0.1:9690\"",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}
