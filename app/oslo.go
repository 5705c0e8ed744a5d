package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
	"github.com/wasmrouter/router/telemetry"
)

// speakOslo gives a route the format "oslo".
func (r *routePart) speakOslo(rc *router.RouteConfig) error {
	route := r.origin.route
	if route.ErrorReplies {
		r.post = osloroute.NewPost(rc.NewSender(rc.Name + "/failures"))
	}
	cfg := osloroute.Config{
		Route: rc.Name, MaxBody: rc.MaxMessage, Permits: replyPermits(r.origin.own, rc.Allow), Post: r.post,
		Bare: len(rc.Filters) == 0,
	}
	if r.origin.calls != nil {
		cfg.Calls, cfg.Timeout, cfg.MaxCalls = r.origin.calls.Calls, route.ProxyTimeout.Std(), route.ProxyCalls
	}
	format, err := osloroute.NewRequests(cfg)
	if err != nil {
		r.closePost()
		return err
	}
	rc.Format = format
	return nil
}

// listenTopology returns what a route that names a topic, and not a queue, needs
// at the broker, without what the configuration itself declares.
func listenTopology(cfg *config.Config, route string) (router.Topology, error) {
	r := cfg.Routes[route]
	queue := r.Queue(route)
	if queue == r.Listen || r.Listen == "queue:"+queue {
		return router.Topology{}, nil
	}
	t, err := router.ParseTarget(r.Listen)
	if err != nil {
		return router.Topology{}, err
	}
	layout := rpc.Layout{Exchange: t.Exchange}
	var top router.Topology
	switch t.Kind {
	case router.TargetTopic:
		top = layout.Server(t.Topic, "")[0].Topology
	case router.TargetServer:
		top = layout.Server(t.Topic, t.Server)[1].Topology
	case router.TargetFanout:
		top = layout.Server(t.Topic, "")[1].Topology
		top.Queues[0].Name, top.Bindings[0].Queue = queue, queue // not a name for each start
	case router.TargetNotify:
		top = layout.Listener(t.Topic, []string{t.Priority}, "")[0].Topology
	}
	top.Exchanges = slices.DeleteFunc(top.Exchanges, func(x router.Exchange) bool { _, ok := cfg.Exchanges[x.Name]; return ok })
	top.Queues = slices.DeleteFunc(top.Queues, func(q router.Queue) bool { _, ok := cfg.Queues[q.Name]; return ok })
	return top, nil
}

// callsPart is what a route in proxy mode has besides its own part and the one
// that brings replies back: the calls made in its name. It stays when the route
// changes, so that no call is lost by a reload.
type callsPart struct {
	*osloroute.Calls
	route  string
	source router.Source // where replies come to
	broker *brokerPart
}

func newCalls(route string, broker *brokerPart) *callsPart {
	source := rpc.Layout{}.Reply()
	source.Delete = false // a reload may bring another part that listens to it
	return &callsPart{
		Calls: osloroute.NewCalls(osloroute.CallsConfig{Route: route, Queue: source.Queue, Post: osloroute.NewPost(broker.Sender(route + "/timeouts"))}),
		route: route, source: source, broker: broker,
	}
}

// has reports whether the table has those calls.
func (t *table) has(c *callsPart) bool { return c != nil && t.calls[c.route] == c }

// close ends the calls that are left, at most until ctx ends or soon.
func (c *callsPart) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, failuresTimeout)
	defer cancel()
	c.Close(ctx)
}

// repliesName is the name of the part that brings the replies to a route's calls
// back. No route of a configuration can have it.
func repliesName(route string) string { return route + ":replies" }

// newRepliesPart makes the part that brings replies back. It outlives App.life:
// it ends when leave has seen to it that it is not needed any more.
func newRepliesPart(ctx context.Context, t *table, requests router.RouteConfig, from origin) (*routePart, error) {
	rc := requests
	rc.Name = repliesName(requests.Name)
	rc.Source = from.calls.source
	rc.Source.Prefetch, rc.Source.DrainTimeout = requests.Source.Prefetch, min(requests.Source.DrainTimeout, repliesDrain)
	rc.Source.MaxBody = rc.MaxMessage
	rc.Format = osloroute.NewReplies(from.calls.Calls, rc.MaxMessage, len(from.route.ReplyFilters) == 0)
	rc.Filters = nil
	for _, use := range from.route.ReplyFilters {
		policy, err := router.ParsePolicy(t.cfg.Filters[use].OnError)
		if err != nil {
			return nil, err
		}
		rc.Filters = append(rc.Filters, router.RouteFilter{Source: t.filters[use].source(), OnError: policy})
	}
	var err error
	if rc.Allow, err = router.NewAllow([]string{"queue:*"}); err != nil { // the format holds them to the caller's
		return nil, err
	}
	rc.Send, rc.Unroutable = nil, router.PolicyDrop
	rc.Order, rc.OrderBy, rc.DedupWindow = router.OrderNone, nil, 0
	r := &routePart{origin: from, replies: true, done: make(chan struct{})}
	return r, r.make(ctx, context.Background(), rc)
}

// repliesDrain bounds how long the replies in hand may take when no others are
// waited for any more.
const repliesDrain = 5 * time.Second

// osloStats returns the counts of routes with format = "oslo", by route.
func (t *table) osloStats() (failures []telemetry.ErrorReplyStat, proxies []telemetry.ProxyStat) {
	for _, name := range slices.Sorted(maps.Keys(t.cfg.Routes)) {
		if t.cfg.Routes[name].Format != "oslo" {
			continue
		}
		var sum osloroute.PostStat
		if post := t.routes[name].post; post != nil {
			sum = post.Stat()
		}
		if calls := t.calls[name]; calls != nil {
			st := calls.Stat()
			sum = sum.Add(st.Failures)
			proxies = append(proxies, telemetry.ProxyStat{
				Route: name, Pending: st.Pending, KeepAlives: st.KeepAlives, Late: st.Late,
				Results: map[string]uint64{"answered": st.Relayed, "timeout": st.Timeouts, "busy": st.Busy, "stopped": st.Stopped},
			})
		}
		failures = append(failures, telemetry.ErrorReplyStat{Route: name, Results: map[string]uint64{
			"sent": sum.Sent, "unroutable": sum.Unroutable, "failed": sum.Failed, "overflow": sum.Overflow, "refused": sum.Refused,
		}})
	}
	return failures, proxies
}

// replyPermits returns which queues may be replied to: those that the route's
// allow names or that are named like reply queues, but none of the
// configuration's own, and none that is the broker's.
func replyPermits(own []string, allow *router.Allow) func(queue string) bool {
	return func(queue string) bool {
		_, found := slices.BinarySearch(own, queue)
		return !found && !strings.HasPrefix(queue, "amq.") && allow.PermitsReply(queue)
	}
}

// ownQueues returns the names of all queues of the configuration, in order.
func ownQueues(cfg *config.Config) []string {
	own := slices.Collect(maps.Keys(cfg.Queues))
	for name, r := range cfg.Routes {
		own = append(own, r.Queue(name), r.DeadLetter)
	}
	slices.Sort(own)
	return slices.Compact(own)
}
