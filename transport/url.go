package transport

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// address is a transport URL taken apart.
type address struct {
	tls     bool
	hosts   []host
	vhost   string
	options []option // of the query, in their order
}

type host struct {
	name     string // without brackets
	port     string // empty is the scheme's
	user     string
	password string
	login    bool // it has a user of its own
}

// option is one name and value of the query, decoded.
type option struct{ name, value string }

// Limits of a URL.
const (
	maxHosts = 64
	maxName  = 255 // of AMQP's short strings
)

const form = "rabbit://user:password@host:port,user:password@host:port/vhost?option=value"

// errEscape is what cannot be told apart says. No error holds any part of a
// URL's user information.
var errEscape = errors.New("in a user name, password, virtual host or option write %2F for /, %40 for @, %2C for a comma, %3F for ?, %23 for # and %25 for %")

// parse takes a transport URL apart. Everything is percent-decoded exactly once.
func parse(raw string) (address, error) {
	a := address{vhost: "/"}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return a, errors.New("no scheme; write it as " + form)
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "rabbit", "kombu", "amqp":
	case "rabbits", "amqps":
		a.tls = true
	default:
		return a, unknownScheme(scheme)
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	path, query, _ := strings.Cut(path, "?")
	switch {
	case strings.Contains(rest, "#"):
		return a, fmt.Errorf("a transport URL has no fragment; %w", errEscape)
	case strings.Contains(path, "@") || strings.Contains(query, "@"):
		// A slash or question mark in a password, whose start would pass for a
		// host and port.
		return a, fmt.Errorf("an @ behind the hosts; %w", errEscape)
	}
	var err error
	if a.hosts, err = parseHosts(authority); err != nil {
		return a, err
	}
	if vhost := strings.TrimPrefix(path, "/"); vhost != "" {
		if a.vhost, err = url.PathUnescape(vhost); err != nil {
			return a, fmt.Errorf("the virtual host is not properly percent-encoded; %w", errEscape)
		}
		if len(a.vhost) > maxName || strings.Contains(a.vhost, "\x00") {
			return a, errors.New("the virtual host is longer than 255 bytes or holds a NUL")
		}
	}
	a.options, err = parseQuery(query)
	return a, err
}

func unknownScheme(scheme string) error {
	switch {
	case strings.Contains(scheme, "+"):
		return errors.New("schemes with a + choose one of kombu's own transports, which speak to other brokers than RabbitMQ; the schemes are rabbit and rabbits (TLS)")
	case scheme == "kafka" || scheme == "fake":
		return fmt.Errorf("there is no driver %s; the schemes are rabbit and rabbits (TLS)", scheme)
	}
	return errors.New("unknown scheme; the schemes are rabbit and rabbits (TLS), or amqp and amqps, which mean the same")
}

// parseHosts reads a list of hosts. What has no user of its own logs in as the
// first of the list.
func parseHosts(authority string) ([]host, error) {
	var list []host
	for i, text := range strings.Split(authority, ",") {
		if text == "" {
			continue
		}
		h, err := parseHost(text)
		if err != nil {
			return nil, fmt.Errorf("host %d: %w", i+1, err)
		}
		switch {
		case len(list) == maxHosts:
			return nil, fmt.Errorf("more than %d hosts", maxHosts)
		case len(list) > 0 && h.login && !list[0].login:
			// Else the start of a password with a comma would pass for a host.
			return nil, fmt.Errorf("host %d has a user, and the first has none; hosts without one log in as the first of the list; %w", i+1, errEscape)
		case len(list) > 0 && !h.login:
			h.user, h.password = list[0].user, list[0].password
		}
		list = append(list, h)
	}
	if len(list) == 0 {
		list = []host{{name: "localhost", user: "guest", password: "guest"}}
	}
	return list, nil
}

func parseHost(text string) (host, error) {
	h := host{user: "guest", password: "guest"}
	if i := strings.LastIndexByte(text, '@'); i > 0 {
		user, password, _ := strings.Cut(text[:i], ":")
		var err1, err2 error
		h.user, err1 = url.PathUnescape(user)
		h.password, err2 = url.PathUnescape(password)
		switch {
		case err1 != nil || err2 != nil:
			return h, fmt.Errorf("the user name or password is not properly percent-encoded; %w", errEscape)
		case h.user == "":
			return h, errors.New("a password without a user name")
		case strings.Contains(h.user+h.password, "\x00"):
			return h, errors.New("the user name or password holds a NUL, which login by password cannot transmit")
		}
		h.login = true
	}
	text = text[strings.LastIndexByte(text, '@')+1:]
	var err error
	if h.name, h.port, err = hostPort(text); err != nil {
		return h, err
	}
	return h, nil
}

// hostPort returns the two parts of host:port, of which the port may be absent.
func hostPort(text string) (name, port string, err error) {
	switch name, port, err = net.SplitHostPort(text); {
	case err == nil:
	case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
		name = text[1 : len(text)-1]
	case strings.Contains(text, ":"):
		return "", "", fmt.Errorf("an IPv6 address is written in brackets, as in [::1]:5672; %w", errEscape)
	default:
		name = text
	}
	if strings.HasPrefix(text, "[") {
		if ip, err := netip.ParseAddr(name); err != nil || !ip.Is6() {
			return "", "", errors.New("what is in brackets is no IPv6 address")
		}
	} else if !plausible(name) {
		return "", "", fmt.Errorf("the host's name is empty, too long or holds characters that a name has not; %w", errEscape)
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", "", fmt.Errorf("the port is not a number from 1 to 65535; %w", errEscape)
		}
	}
	return name, port, nil
}

func plausible(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(r rune) bool {
		return r < 0x80 && r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

func parseQuery(query string) ([]option, error) {
	var list []option
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		switch {
		case err1 != nil || err2 != nil:
			return nil, fmt.Errorf("the options are not properly percent-encoded; %w", errEscape)
		case !ok:
			return nil, fmt.Errorf("option %.64q has no value; write it as option=value", name)
		case seen[name]:
			return nil, fmt.Errorf("option %.64q is given twice", name)
		}
		seen[name] = true
		list = append(list, option{name, value})
	}
	return list, nil
}

// urls are the hosts as the broker adapter reads them.
func (a *address) urls() []string {
	scheme, port := "amqp", "5672"
	if a.tls {
		scheme, port = "amqps", "5671"
	}
	list := make([]string, len(a.hosts))
	for i, h := range a.hosts {
		list[i] = h.url(scheme, cmp.Or(h.port, port), a.vhost)
	}
	return list
}

// url escapes every part once, so that the adapter decodes it to what it is.
func (h host) url(scheme, port, vhost string) string {
	return scheme + "://" + escape(h.user) + ":" + escape(h.password) + "@" + net.JoinHostPort(h.name, port) + "/" + escape(vhost)
}

// escape encodes everything but letters and digits.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
