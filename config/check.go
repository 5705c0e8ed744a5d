package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// complete fills in the defaults that depend on other keys and makes paths
// absolute.
func (c *Config) complete(b *binder) {
	if c.Broker.URL.IsZero() && len(c.Broker.URLs) == 0 {
		c.Broker.URL = URL{DefaultURL}
	}
	for _, path := range []*string{
		&c.Broker.TLS.CAFile, &c.Broker.TLS.CertFile, &c.Broker.TLS.KeyFile, &c.Process.CacheDir,
		&c.Admin.CertFile, &c.Admin.KeyFile, &c.Admin.ClientCAFile,
		&c.Telemetry.CAFile,
	} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(b.doc.dir, *path)
		}
	}
	for name, r := range c.Routes {
		if r.Parallel == 0 {
			r.Parallel = 4
			if r.Order == "queue" {
				r.Parallel = 1
			}
		}
		if queue := r.Queue(name); r.DeadLetter == "" && queue != "" {
			r.DeadLetter = queue + ".dead"
		}
		c.Routes[name] = r
	}
}

// check judges what depends on more than one key.
func (c *Config) check(b *binder) {
	b.queues, b.exchanges, b.filters = sortedKeys(c.Queues), sortedKeys(c.Exchanges), sortedKeys(c.Filters)
	c.checkBroker(b)
	c.checkTopology(b)
	for _, name := range b.filters {
		b.labelName("filters", name)
		checkFilter(b, []string{"filters", name}, c.Filters[name], c.Process)
	}
	for _, name := range sortedKeys(c.Routes) {
		c.checkRoute(b, name, c.Routes[name])
	}
	c.checkShared(b)
	c.checkAdmin(b)
	c.checkTelemetry(b)
	c.checkSigners(b)
}

// refuse reports an error unless the key could not even be read.
func (b *binder) refuse(path []string, hint, format string, args ...any) {
	if !b.bad(path...) {
		b.errors = append(b.errors, b.doc.error(path, problem{fmt.Sprintf(format, args...), hint}))
	}
}

// doubt reports a warning unless the key could not even be read.

func (b *binder) doubt(path []string, hint, format string, args ...any) {
	if !b.bad(path...) {
		b.warn(path, problem{fmt.Sprintf(format, args...), hint})
	}
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// labelName checks a name that becomes a metric's label.
func (b *binder) labelName(path ...string) {
	if !goodName.MatchString(path[len(path)-1]) {
		b.refuse(path, "use at most 64 letters, digits, dots, hyphens and underscores, a letter or digit first", "not a good name")
	}
}

// amqpName checks the name of a queue or exchange.
func (b *binder) amqpName(path []string, name string) {
	switch {
	case name == "":
		b.refuse(path, "give it one", "the name is empty")
	case len(name) > 255:
		b.refuse(path, "AMQP allows 255", "the name is %d bytes long", len(name))
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		b.refuse(path, "use printable characters", "the name holds a control character")
	}
}

// checkFilter judges one filter's table, which is at the path table.
func checkFilter(b *binder, table []string, f Filter, p Process) {
	at := func(keys ...string) []string { return slices.Concat(table, keys) }
	if f.SHA256 != "" && !regexp.MustCompile(`^[0-9a-fA-F]{64}$`).MatchString(f.SHA256) {
		b.refuse(at("sha256"), "write the 64 hexadecimal digits that sha256sum prints", "not a SHA-256")
	}
	if stock, ok := f.Stock(); ok {
		if stock == "" {
			b.refuse(at("path"), "write stock:NAME", "names no stock filter")
		}
	} else if f.Path != "" {
		if p.RequirePins && f.SHA256 == "" && !b.bad(at("sha256")...) {
			b.refuse(at(), "add sha256 = ..., or set process.require_pins = false", "has no sha256")
		}
		outside := "move the file, or set process.allow_outside_paths = true"
		if table == nil {
			outside = "a filter.toml and its module lie in one directory"
		}
		switch {
		case strings.ContainsRune(f.Path, 0):
			b.refuse(at("path"), "take it out", "holds a NUL character")
		case !p.AllowOutsidePaths && !filepath.IsLocal(f.Path):
			b.refuse(at("path"), outside, "leads out of the configuration's directory")
		}
	}
	if l := f.Limits; l.MaxBackoff < l.RestartBackoff && !b.bad(at("limits", "restart_backoff")...) {
		b.refuse(at("limits", "max_backoff"), "raise it", "%s is less than the restart_backoff of %s", l.MaxBackoff, l.RestartBackoff)
	}
	for i, stage := range f.Stages {
		if slices.Contains(f.Stages[:i], stage) {
			b.refuse(at("stages", strconv.Itoa(i)), "keep one of the two", "%s is there twice", quote(stage))
		}
	}
	if _, written := b.doc.find(at("stages")); written && len(f.Stages) == 0 {
		b.refuse(at("stages"), "leave it out for all stages the module offers", "names no stage")
	}
	if f.HasShadow() {
		checkShadow(b, at("shadow"), f.Shadow, p)
	}
}

// checkShadow judges a filter's new version.
func checkShadow(b *binder, table []string, s Shadow, p Process) {
	checkFilter(b, table, Filter{Path: s.Path, SHA256: s.SHA256, Stages: s.Stages}, p)
	if s.PromoteAfter == 0 && s.MaxDifferences > 0 {
		b.doubt(below(table, "max_differences"), "add promote_after, or leave it out", "without promote_after differences are only counted")
	}
}

// properties are those that order_by can name.
var properties = []string{"app_id", "correlation_id", "message_id", "reply_to", "type", "user_id"}

var targetKinds = []string{"queue", "exchange", "topic", "server", "fanout", "notify"}

func (c *Config) checkRoute(b *binder, name string, r Route) {
	at := func(keys ...string) []string { return append([]string{"routes", name}, keys...) }
	b.labelName(at()...)
	listen := r.Queue(name)
	if c.checkListen(b, at("listen"), r) {
		b.amqpName(at("listen"), listen)
		if listen == r.Listen {
			c.checkQueueName(b, at("listen"), listen)
		}
	}
	c.checkFilterNames(b, at("filters"), r.Filters)
	c.checkOslo(b, at, r)
	seen := map[string]bool{}
	for i, target := range r.Send {
		path := at("send", strconv.Itoa(i))
		kind, rest, ok := strings.Cut(target, ":")
		switch {
		case !ok || rest == "":
			b.refuse(path, "write queue:NAME, exchange:NAME/KEY, topic:TOPIC, server:TOPIC.SERVER, fanout:TOPIC or notify:TOPIC.PRIORITY", "%s is not a target", b.shown(path, target))
		case !slices.Contains(targetKinds, kind):
			b.refuse(path, didYouMean(kind, targetKinds), "%s has an unknown kind", b.shown(path, target))
		case target == "queue:"+listen, target == r.Listen:
			b.doubt(path, "name another queue, unless a filter ends the circle", "sends messages back to the queue they come from")
		case kind == "queue":
			c.checkQueueName(b, path, rest)
		}
		if seen[target] {
			b.refuse(path, "keep one of the two", "%s is there twice", b.shown(path, target))
		}
		seen[target] = true
	}
	for i, pattern := range r.Allow {
		if pattern == "" {
			b.refuse(at("allow", strconv.Itoa(i)), `write a pattern such as "queue:orders.*"`, "is empty")
		}
	}
	if len(r.Send) == 0 && len(r.Filters) == 0 && !b.bad(at("send")...) && !b.bad(at("filters")...) {
		b.refuse(at(), "add send = [...], or filters = [...] with one that decides", "sends messages nowhere")
	}
	c.checkOrder(b, at, r)
	switch {
	case r.DeadLetter == listen+".dead":
		// The default. Any fault of it is a fault of listen, but for its length.
		if len(listen) <= 255 && len(r.DeadLetter) > 255 {
			b.refuse(at("listen"), "set dead_letter", "leaves no room for .dead in the name of the dead-letter queue")
		}
	case r.DeadLetter == "":
	case r.DeadLetter == listen:
		b.refuse(at("dead_letter"), "dead letters would come back as messages", "is the queue that the route listens to")
	default:
		b.amqpName(at("dead_letter"), r.DeadLetter)
	}
	if r.Retry.MaxBackoff < r.Retry.Backoff && !b.bad(at("retry", "backoff")...) {
		b.refuse(at("retry", "max_backoff"), "raise it", "%s is less than the backoff of %s", r.Retry.MaxBackoff, r.Retry.Backoff)
	}
}

func (c *Config) checkOrder(b *binder, at func(...string) []string, r Route) {
	if b.bad(at("order")...) {
		return
	}
	kind, name, _ := strings.Cut(r.OrderBy, ":")
	switch {
	case r.Order == "key" && r.OrderBy == "":
		b.refuse(at("order"), `add order_by = "header:NAME", "property:NAME" or "routing_key"`, `order = "key" needs order_by`)
	case r.Order != "key" && r.OrderBy != "":
		b.refuse(at("order_by"), `set order = "key"`, "has no effect with order = %s", quote(r.Order))
	case r.OrderBy == "", r.OrderBy == "routing_key", kind == "header" && name != "":
	case kind == "property" && slices.Contains(properties, name):
	case kind == "property":
		b.refuse(at("order_by"), didYouMean(name, properties), "there is no property %s", b.shown(at("order_by"), name))
	default:
		b.refuse(at("order_by"), "write header:NAME, property:NAME or routing_key", "%s names no key", b.shown(at("order_by"), r.OrderBy))
	}
	if r.Order == "queue" && r.Parallel > 1 {
		b.refuse(at("parallel"), `set order = "key" or "none", or leave parallel out`, `order = "queue" handles one message at a time`)
	}
	if r.Parallel > r.Prefetch && !b.bad(at("prefetch")...) {
		b.doubt(at("parallel"), "raise prefetch", "more than prefetch = %d are never in hand", r.Prefetch)
	}
}

// shown is a value as an error may show it: not when it was interpolated.
func (b *binder) shown(path []string, value string) string {
	if b.doc.hidden[join(path)] {
		return "the interpolated value"
	}
	return quote(value)
}

// maySearch bounds the time spent on hints in a file of very many names.
func (b *binder) maySearch() bool {
	b.searches++
	return b.searches <= 500
}

// checkQueueName doubts a queue that is not in [queues] when its name looks
// like one that is.
func (c *Config) checkQueueName(b *binder, path []string, name string) {
	if _, ok := c.Queues[name]; ok || name == "" || b.doc.hidden[join(path)] {
		return
	}
	if !b.maySearch() {
		return
	}
	if near := nearest(name, b.queues); near != "" {
		b.doubt(path, "did you mean "+quote(near)+"?", "the queue %s is not in [queues]", quote(name))
	}
}

// checkShared judges what concerns several routes.
func (c *Config) checkShared(b *binder) {
	listeners, used := map[string]string{}, map[string]bool{}
	for _, name := range sortedKeys(c.Routes) {
		r := c.Routes[name]
		for _, f := range slices.Concat(r.Filters, r.ReplyFilters) {
			used[f] = true
		}
		queue := r.Queue(name)
		other, ok := listeners[queue]
		switch {
		case queue == "":
		case !ok:
			listeners[queue] = name
		case r.Exclusive || c.Routes[other].Exclusive:
			b.refuse([]string{"routes", name, "listen"}, "set exclusive = false in both", "routes.%s listens to this queue too, and one of the two is exclusive", renderKey(other))
		default:
			b.doubt([]string{"routes", name, "listen"}, "give each route its own queue, unless that is meant", "routes.%s listens to this queue too; each message goes to one of the two", renderKey(other))
		}
	}
	for _, name := range b.filters {
		if !used[name] {
			b.doubt([]string{"filters", name}, "name it in filters = [...] of a route", "no route uses this filter")
		}
		c.checkInstances(b, name)
	}
	if len(c.Routes) == 0 && len(b.errors) == 0 {
		b.doubt([]string{"routes"}, "add [routes.NAME]", "there are no routes")
	}
}

// checkInstances tells whether the lanes of all routes can have their instances
// of a filter.
func (c *Config) checkInstances(b *binder, filter string) {
	path := []string{"filters", filter, "limits", "instances"}
	if b.bad(path...) {
		return
	}
	need, users := 1, []string{} // the spare
	for _, name := range sortedKeys(c.Routes) {
		r, lanes := c.Routes[name], 0
		for _, f := range slices.Concat(r.Filters, r.ReplyFilters) {
			if f == filter {
				lanes += r.Parallel
			}
		}
		if lanes > 0 && !b.bad("routes", name, "parallel") {
			need += lanes
			users = append(users, fmt.Sprintf("%s (%d lanes)", renderKey(name), lanes))
		}
	}
	limit, besides := c.Filters[filter].Limits.Instances, "a spare"
	if c.Filters[filter].HasShadow() { // which has one for messages and one for copies
		need, besides = 2*need-1, "a spare, and the new version twice as many,"
	}
	if need <= limit {
		return
	}
	if len(users) > 5 {
		users = append(users[:5], fmt.Sprintf("%d more", len(users)-5))
	}
	b.refuse(path, fmt.Sprintf("raise it to %d, or lower parallel", need),
		"%d are too few: routes %s and %s take %d", limit, strings.Join(users, ", "), besides, need)
}
