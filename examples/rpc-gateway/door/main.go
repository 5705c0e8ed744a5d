// Door is the way into a set of services. A method is called SERVICE.METHOD: the
// call goes to the topic of the service, as METHOD. The door answers what needs no
// service itself, and refuses what has none.
package main

import (
	"errors"
	"strings"

	"example.com/door/sdk/filter"
)

var (
	services map[string]bool
	prefix   string
)

func init() {
	filter.Needs = filter.NeedBody | filter.NeedHeaders | filter.Stateless
	filter.OnInit = configure
}

func main() {}

func configure(c *filter.Message) error {
	services, prefix = map[string]bool{}, c.ConfigText("prefix", "svc-")
	for _, name := range c.ConfigList("services") {
		services[strings.Clone(name)] = true
	}
	prefix = strings.Clone(prefix)
	if len(services) == 0 {
		return errors.New("services is missing: name the services that callers may reach")
	}
	return nil
}

//go:wasmexport router_decide
func decide(at, n uint32) int64 { return filter.Handle(at, n, enter) }

func enter(m *filter.Message, d *filter.Delta) {
	body := m.Body()
	value, _, _ := filter.FindJSON(body, "method")
	method, _ := value.Text(nil)
	service, call, dotted := strings.Cut(method, ".")
	admin, _ := m.Header("is_admin")
	switch {
	case method == "ping":
		d.SetBody([]byte(`"pong"`))
		d.Reply()
	case !dotted || !services[service] || value.Escaped:
		fail(d, "NoSuchMethod", "there is no method "+method)
	case strings.HasPrefix(call, "_"):
		fail(d, "Forbidden", "methods that begin with _ are not for callers")
	case strings.HasPrefix(call, "admin_") && (admin.Type != filter.Bool || admin.Raw == "\x00"):
		fail(d, "Forbidden", method+" is for administrators")
	default:
		// The value lies in the body: what is behind its beginning tells where.
		from := cap(body) - cap(value.Raw)
		to := from + len(value.Raw)
		d.SetBody([]byte(string(body[:from]) + call + string(body[to:])))
		d.Target("topic:" + prefix + service)
	}
}

// fail answers the caller with a failure.
func fail(d *filter.Delta, class, text string) {
	d.SetHeader("x-rpc-error-class", class)
	d.SetHeader("x-rpc-error-module", "gateway")
	d.SetHeader("x-rpc-error-message", text)
	d.SetBody([]byte("null"))
	d.Reply()
}
