package config

import (
	"slices"
	"strconv"
	"strings"
)

// Queue returns the queue that the route of that name listens to, whichever way
// it is written.
func (r Route) Queue(name string) string {
	kind, rest, ok := r.listenTarget()
	switch {
	case !ok:
		return r.Listen
	case kind == "fanout":
		return rest + "_fanout_" + name // one for all processes that run the route
	case kind == "queue":
		return rest
	}
	if _, topic, ok := strings.Cut(rest, "/"); ok {
		return topic
	}
	return rest
}

// listenTarget splits what a route listens to, if it is not the plain name of a
// queue.
func (r Route) listenTarget() (kind, rest string, ok bool) {
	kind, rest, ok = strings.Cut(r.Listen, ":")
	if r.Format != "oslo" || !ok || !slices.Contains(listenKinds, kind) {
		return "", "", false
	}
	return kind, rest, true
}

var listenKinds = []string{"queue", "topic", "server", "fanout", "notify"}

// checkListen judges what a route listens to when it is not the plain name of a
// queue, and reports whether its queue has a name.
func (c *Config) checkListen(b *binder, path []string, r Route) bool {
	kind, rest, ok := r.listenTarget()
	if !ok {
		return true
	}
	topic := rest
	if _, after, found := strings.Cut(rest, "/"); found {
		topic = after
	}
	dot := strings.IndexByte(topic, '.')
	var hint string
	switch {
	case topic == "" || kind == "fanout" && topic != rest:
		hint = "write " + kind + ":NAME"
	case kind == "server" && (dot < 1 || dot == len(topic)-1):
		hint = "write server:TOPIC.SERVER"
	case kind == "notify" && (dot < 1 || strings.HasSuffix(topic, ".")):
		hint = "write notify:TOPIC.PRIORITY, such as notify:notifications.info"
	default:
		return true
	}
	b.refuse(path, hint, "%s names no queue", b.shown(path, r.Listen))
	return false
}

// checkFilterNames reports names in the list at path that no filter has.
func (c *Config) checkFilterNames(b *binder, path, names []string) {
	for i, f := range names {
		if _, ok := c.Filters[f]; ok {
			continue
		}
		hint := ""
		if b.maySearch() {
			hint = didYouMean(f, b.filters)
		}
		if hint == "" {
			hint = "add [filters." + renderKey(f) + "]"
		}
		b.refuse(append(path[:len(path):len(path)], strconv.Itoa(i)), hint, "there is no filter %s", quote(f))
	}
}

// checkOslo judges the keys of routes with format = "oslo", and refuses those
// that say nothing about other routes.
func (c *Config) checkOslo(b *binder, at func(...string) []string, r Route) {
	c.checkFilterNames(b, at("reply_filters"), r.ReplyFilters)
	if b.bad(at("format")...) || b.bad(at("mode")...) {
		return
	}
	initial := Default().Route
	for _, k := range []struct {
		key     string
		proxy   bool // for mode = "proxy" alone
		changed bool
	}{
		{"error_replies", false, r.ErrorReplies != initial.ErrorReplies},
		{"mode", false, r.Mode != initial.Mode},
		{"reply_filters", true, len(r.ReplyFilters) > 0},
		{"proxy_timeout", true, r.ProxyTimeout != initial.ProxyTimeout},
		{"proxy_calls", true, r.ProxyCalls != initial.ProxyCalls},
	} {
		switch {
		case !k.changed:
		case r.Format != "oslo":
			b.refuse(at(k.key), `set format = "oslo"`, "has no effect with format = %s", quote(r.Format))
		case k.proxy && r.Mode != "proxy":
			b.refuse(at(k.key), `set mode = "proxy"`, "has no effect with mode = %s", quote(r.Mode))
		}
	}
}
