package config

import "strconv"

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
	written := func(key string) bool {
		_, ok := b.doc.find(at(key))
		return ok
	}
	for _, key := range []string{"error_replies", "mode", "reply_filters", "proxy_timeout", "proxy_calls"} {
		proxy := key != "error_replies" && key != "mode"
		switch {
		case !written(key):
		case r.Format != "oslo":
			b.refuse(at(key), `set format = "oslo"`, "has no effect with format = %s", quote(r.Format))
		case proxy && r.Mode != "proxy":
			b.refuse(at(key), `set mode = "proxy"`, "has no effect with mode = %s", quote(r.Mode))
		}
	}
}
