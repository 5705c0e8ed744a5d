package config

import (
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Addresses returns the brokers to connect to: urls, or else url alone.
func (b Broker) Addresses() []URL {
	if len(b.URLs) > 0 {
		return b.URLs
	}
	return []URL{b.URL}
}

// Embedded reports whether the router is the broker itself, and returns the address
// with the scheme amqp, for whoever connects to it.
func (b Broker) Embedded() (URL, bool) {
	rest, ok := strings.CutPrefix(b.URL.Reveal(), "embedded://")
	return NewURL("amqp://" + rest), ok && len(b.URLs) == 0
}

func (c *Config) checkBroker(b *binder) {
	broker := c.Broker
	if !broker.URL.IsZero() && len(broker.URLs) > 0 {
		b.refuse([]string{"broker", "urls"}, "keep one of the two", "url is there too")
		return
	}
	secure := 0
	var first *url.URL
	for i, address := range broker.Addresses() {
		at := []string{"broker", "url"}
		if len(broker.URLs) > 0 {
			at = []string{"broker", "urls", strconv.Itoa(i)}
		}
		u := c.checkURL(b, at, address)
		if u == nil {
			continue
		}
		if u.Scheme == "amqps" {
			secure++
		}
		if first == nil {
			first = u
		}
		if u.Scheme != first.Scheme || u.User.String() != first.User.String() || strings.TrimPrefix(u.Path, "/") != strings.TrimPrefix(first.Path, "/") {
			b.refuse(at, "all addresses are one cluster's", "differs from the first one in scheme, user or virtual host")
		}
	}
	if _, embedded := broker.Embedded(); broker.QuorumAsClassic && !embedded {
		b.doubt([]string{"broker", "quorum_as_classic"}, "leave it out", "has no effect without embedded://")
	}
	if len(broker.VHost) > 255 || len(broker.Username) > 255 {
		key := "username"
		if len(broker.VHost) > 255 {
			key = "vhost"
		}
		b.refuse([]string{"broker", key}, "AMQP allows 255", "is longer than 255 bytes")
	}
	c.checkTLS(b, secure > 0)
}

// checkURL returns nil for an address that has an error. No error shows any
// part of an address, since a misplaced character makes anything the password.
func (c *Config) checkURL(b *binder, at []string, address URL) *url.URL {
	if b.bad(at...) {
		return nil
	}
	const form = "write amqp://[USER[:PASSWORD]@]HOST[:PORT][/VHOST], amqps:// for TLS, or embedded:// for a broker within the router"
	u, err := url.Parse(address.Reveal())
	switch {
	case address.IsZero():
		b.refuse(at, form, "is empty")
	case err != nil:
		b.refuse(at, "percent-encode special characters, or use the keys username and password", "not an address")
	case u.Scheme != "amqp" && u.Scheme != "amqps" && u.Scheme != "embedded":
		b.refuse(at, form, "does not begin with amqp://, amqps:// or embedded://")
	case u.Opaque != "" || u.Hostname() == "":
		b.refuse(at, form, "has no host")
	case !goodPort(u.Port()):
		b.refuse(at, "RabbitMQ uses 5672, and 5671 for TLS", "the port is not between 1 and 65535")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		b.refuse(at, "use the keys of [broker] instead, and percent-encode ? and # in a password", "options after ? or # are not read")
	case strings.Count(u.EscapedPath(), "/") > 1:
		b.refuse(at, "write %2F for a slash in it", "the virtual host holds a slash")
	case u.Scheme == "embedded" && len(c.Broker.URLs) > 0:
		b.refuse(at, "write url = \"embedded://127.0.0.1:5672\"", "an embedded broker is one")
	case u.Scheme == "embedded" && net.ParseIP(u.Hostname()) == nil && u.Hostname() != "localhost", u.Scheme == "embedded" && !loopback(u.Hostname()):
		b.refuse(at, "write embedded://127.0.0.1:5672", "an embedded broker is for this machine alone")
	case u.Scheme == "amqp" && !loopback(u.Hostname()) && !c.Broker.AllowPlaintext:
		b.refuse(at, "use amqps://, or set broker.allow_plaintext = true", "would send the password in clear to another machine")
	default:
		return u
	}
	return nil
}

func goodPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func (c *Config) checkTLS(b *binder, secure bool) {
	t := c.Broker.TLS
	at := func(key string) []string { return []string{"broker", "tls", key} }
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		b.refuse(at("cert_file"), "add key_file", "has no key")
	case t.KeyFile != "" && t.CertFile == "":
		b.refuse(at("key_file"), "add cert_file", "has no certificate")
	case t.External && t.CertFile == "":
		b.refuse(at("external"), "add cert_file and key_file", "needs a client certificate")
	case t.External && !secure:
		b.refuse(at("external"), "use amqps://", "needs TLS")
	case t != TLS{} && !secure:
		b.doubt([]string{"broker", "tls"}, "use amqps://", "has no effect without an amqps address")
	}
	b.keyFile(at("key_file"), t.KeyFile)
	if t.InsecureSkipVerify && secure {
		b.doubt(at("insecure_skip_verify"), "use ca_file to trust a private authority", "anyone on the way can read and change what is sent, the password included")
	}
}

// keyFile doubts a private key that every user may read. Whoever needs the file
// says what else is wrong with it.
func (b *binder) keyFile(path []string, file string) {
	if info, err := os.Stat(file); file != "" && err == nil && info.Mode().Perm()&0o004 != 0 {
		b.doubt(path, "chmod o-r it", "every user of this machine can read the secret file %s", b.shown(path, file))
	}
}

func (c *Config) checkAdmin(b *binder) {
	admin := c.Admin
	if admin.Listen == "" {
		return
	}
	at := func(key string) []string { return []string{"admin", key} }
	switch {
	case admin.CertFile != "" && admin.KeyFile == "":
		b.refuse(at("cert_file"), "add key_file", "has no key")
	case admin.KeyFile != "" && admin.CertFile == "":
		b.refuse(at("key_file"), "add cert_file", "has no certificate")
	case admin.ClientCAFile != "" && admin.CertFile == "":
		b.refuse(at("client_ca_file"), "add cert_file and key_file", "callers show certificates over TLS only")
	}
	b.keyFile(at("key_file"), admin.KeyFile)
	host, port, err := net.SplitHostPort(admin.Listen)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
		b.refuse(at("listen"), `write HOST:PORT, such as "127.0.0.1:9690"`, "%s is not an address", b.shown(at("listen"), admin.Listen))
		return
	}
	if loopback(host) {
		return
	}
	if admin.Token.IsZero() && admin.ClientCAFile == "" && !b.bad(at("token")...) && !b.bad(at("client_ca_file")...) {
		b.refuse(at("listen"), "add admin.token, or listen to 127.0.0.1", "other machines can reach this address and there is no token")
	} else if admin.CertFile == "" && !b.bad(at("cert_file")...) {
		b.doubt(at("listen"), "add admin.cert_file and admin.key_file, or listen to 127.0.0.1", "other machines can reach this address, and the token crosses the network in clear")
	}
}

func (c *Config) checkTopology(b *binder) {
	_, embedded := c.Broker.Embedded()
	for _, name := range b.exchanges {
		at := []string{"exchanges", name}
		b.amqpName(at, name)
		e := c.Exchanges[name]
		if embedded && strings.HasPrefix(e.Type, "x-") {
			b.refuse(append(at, "type"), "use RabbitMQ", "the embedded broker has no such exchanges")
		}
		if e.Declare == "create" && strings.HasPrefix(name, "amq.") {
			b.refuse(at, `set declare = "passive"`, "names that begin with amq. belong to the broker")
		}
	}
	for _, name := range b.queues {
		c.checkQueue(b, name, c.Queues[name])
	}
}

func (c *Config) checkQueue(b *binder, name string, q Queue) {
	at := func(keys ...string) []string { return append([]string{"queues", name}, keys...) }
	b.amqpName(at(), name)
	if q.Declare == "create" && strings.HasPrefix(name, "amq.") {
		b.refuse(at(), `set declare = "passive"`, "names that begin with amq. belong to the broker")
	}
	if q.Type == "quorum" && !b.bad(at("type")...) {
		if !q.Durable {
			b.refuse(at("durable"), "leave it out", "a quorum queue is always durable")
		}
		if q.AutoDelete {
			b.refuse(at("auto_delete"), "leave it out", "a quorum queue cannot be deleted automatically")
		}
		if q.Exclusive {
			b.refuse(at("exclusive"), "leave it out", "a quorum queue cannot be exclusive")
		}
	}
	if _, ok := q.Arguments["x-queue-type"]; ok {
		b.refuse(at("arguments", "x-queue-type"), `write type = "classic" or "quorum"`, "is the key type of the queue")
	}
	for i, bind := range q.Bind {
		path := at("bind", strconv.Itoa(i), "exchange")
		b.amqpName(path, bind.Exchange)
		if _, ok := c.Exchanges[bind.Exchange]; ok || b.doc.hidden[join(path)] {
			continue
		}
		if !b.maySearch() {
			continue
		}
		if near := nearest(bind.Exchange, b.exchanges); near != "" {
			b.doubt(path, "did you mean "+quote(near)+"?", "the exchange %s is not in [exchanges]", quote(bind.Exchange))
		}
	}
}
