package transport

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestURLs(t *testing.T) {
	guest := func(name, port string) host { return host{name: name, port: port, user: "guest", password: "guest"} }
	user := func(name, port, user, password string) host { return host{name, port, user, password, true} }
	for raw, want := range map[string]address{
		"rabbit://":                       {vhost: "/", hosts: []host{guest("localhost", "")}},
		"rabbit:///vh":                    {vhost: "vh", hosts: []host{guest("localhost", "")}},
		"RABBITS://one/":                  {vhost: "/", tls: true, hosts: []host{guest("one", "")}},
		"kombu://one:1234":                {vhost: "/", hosts: []host{guest("one", "1234")}},
		"amqps://one":                     {vhost: "/", tls: true, hosts: []host{guest("one", "")}},
		"rabbit://u:p@h:/":                {vhost: "/", hosts: []host{user("h", "", "u", "p")}},
		"rabbit://u@h//":                  {vhost: "/", hosts: []host{user("h", "", "u", "")}},
		"rabbit://u:@h/a%2Fb":             {vhost: "a/b", hosts: []host{user("h", "", "u", "")}},
		"rabbit://u:p%2Fw%40%3A%25@h/vh/": {vhost: "vh/", hosts: []host{user("h", "", "u", "p/w@:%")}},
		"rabbit://u:a@b:c@h/%252F":        {vhost: "%2F", hosts: []host{user("h", "", "u", "a@b:c")}},
		"rabbit://u+x:p+y@h/v+w":          {vhost: "v+w", hosts: []host{user("h", "", "u+x", "p+y")}},
		"rabbit://u:p@[::1]:5673,[fe80::1]/": {vhost: "/", hosts: []host{
			user("::1", "5673", "u", "p"), {"fe80::1", "", "u", "p", false},
		}},
		"rabbit://a:1@one:1,,two,b:@three:3/": {vhost: "/", hosts: []host{
			user("one", "1", "a", "1"), {"two", "", "a", "1", false}, user("three", "3", "b", ""),
		}},
		"rabbit://one,two/?ssl=true&ssl_ca_file=%2Fetc%2Fa+b.pem&": {
			vhost: "/", hosts: []host{guest("one", ""), guest("two", "")},
			options: []option{{"ssl", "true"}, {"ssl_ca_file", "/etc/a b.pem"}},
		},
	} {
		got, err := parse(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(address{}, host{}, option{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	for raw, word := range map[string]string{
		"":                                       "no scheme",
		"localhost:5672":                         "no scheme",
		"kombu+memory://":                        "kombu's own transports",
		"rabbit+ssl://h":                         "kombu's own transports",
		"kafka://h":                              "no driver kafka",
		"http://h":                               "unknown scheme",
		"rabbit://u:secret/more@h/":              "%2F for /",
		"rabbit://u:secret?more@h/":              "%3F for ?",
		"rabbit://u:secret#more@h/":              "%23 for #",
		"rabbit://u:p@h,u:12/secret@h2/":         "%2F for /",
		"rabbit://u:p@h,u:12?secret@h2/":         "%3F for ?",
		"rabbit://u:12,secret@h/":                "%2C for a comma",
		"rabbit://u:secret,more@h/":              "the port is not a number",
		"rabbit://u:secret%zz@h/":                "percent-encoded",
		"rabbit://:secret@h/":                    "without a user name",
		"rabbit://u:sec%00ret@h/":                "NUL",
		"rabbit://u:secret@/":                    "name is empty",
		"rabbit://u:secret@h:x/":                 "the port is not a number",
		"rabbit://u:secret@h:0/":                 "the port is not a number",
		"rabbit://u:secret@h:65536/":             "the port is not a number",
		"rabbit://u:secret@::1/":                 "in brackets",
		"rabbit://u:secret@[h]:1/":               "no IPv6 address",
		"rabbit://u:secret@[::1/":                "in brackets",
		"rabbit://u:secret@h o/":                 "characters that a name has not",
		"rabbit://u:secret@h/%zz":                "virtual host",
		"rabbit://u:secret@h/%00":                "NUL",
		"rabbit://h/?ssl":                        "has no value",
		"rabbit://h/?ssl=1&ssl=0":                "given twice",
		"rabbit://h/?ssl=%zz":                    "percent-encoded",
		"rabbit://h/" + strings.Repeat("v", 256): "longer than 255",
		"rabbit://" + strings.Repeat("h,", 65):   "more than 64",
	} {
		_, err := parse(raw)
		if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want something about %q, in one line, without the password", raw, err, word)
		}
	}
}

func TestWhatTheBrokerAdapterIsGiven(t *testing.T) {
	for raw, want := range map[string][]string{
		"rabbit://":                               {"amqp://guest:guest@localhost:5672/%2F"},
		"rabbits://u:@h,[::1]:7/a%2Fb":            {"amqps://u:@h:5671/a%2Fb", "amqps://u:@[::1]:7/a%2Fb"},
		"rabbit://a%20b:%2F%40%3A%25@h/%252F?x=y": {"amqp://a%20b:%2F%40%3A%25@h:5672/%252F"},
	} {
		a, err := parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, a.urls()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

// FuzzURL holds the parser to three things: a user, password and virtual host
// that were encoded come out as they were; what comes out is what the broker
// adapter is given, again encoded once; and an error names no password.
func FuzzURL(f *testing.F) {
	f.Add("rabbit://u:p@h:1,i/v?ssl=1", "u", "p/@:%,?#", "v/w")
	f.Add("rabbits://[::1]:5671/%2F", "ü", "", "/")
	f.Add("rabbit://u:a,b@c/@", "a b", "%2F", "a%2Fb")
	f.Fuzz(func(t *testing.T, raw, user, password, vhost string) {
		if a, err := parse(raw); err == nil {
			same, err := parse(a.urls()[0])
			if err != nil {
				t.Fatalf("%q came apart but %q does not: %v", raw, a.urls()[0], err)
			}
			if h := same.hosts[0]; h.user != a.hosts[0].user || h.password != a.hosts[0].password || h.name != a.hosts[0].name || same.vhost != a.vhost || same.tls != a.tls {
				t.Errorf("%q became %q", raw, a.urls()[0])
			}
		}
		secret := "x9" + password + "9x"
		for _, written := range []string{
			"rabbit://" + url.PathEscape(user) + ":" + url.QueryEscape(secret) + "@h/" + url.PathEscape(vhost),
			"rabbit://u:" + secret + "@h/v",
			"rabbit://u:p@one,u:" + secret + "@h/v",
			"rabbit://u:p@one,u:" + secret + "@h:port/v?ssl=true",
		} {
			if _, err := parse(written); err != nil && strings.Contains(err.Error(), "x9") {
				t.Errorf("%s: %v", written, err)
			}
		}
		if user == "" || len(vhost) > maxName || vhost == "" || strings.Contains(user+password+vhost, "\x00") {
			return
		}
		a, err := parse("rabbit://" + escape(user) + ":" + escape(password) + "@h/" + escape(vhost))
		if err != nil {
			t.Fatal(err)
		}
		if h := a.hosts[0]; h.user != user || h.password != password || a.vhost != vhost {
			t.Errorf("%q %q %q came out as %q %q %q", user, password, vhost, h.user, h.password, a.vhost)
		}
	})
}
