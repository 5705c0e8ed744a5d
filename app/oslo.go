package app

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

// osloFormat is a route's format = "oslo" with what belongs to it.
type osloFormat struct {
	requests *osloroute.Requests
	post     *osloroute.Post // nil without error_replies
}

// newOslo makes the format of a route. The caller closes it.
func newOslo(rc *router.RouteConfig, from origin) (*osloFormat, error) {
	o := &osloFormat{}
	if from.route.ErrorReplies {
		o.post = osloroute.NewPost(rc.NewSender(rc.Name + "/failures"))
	}
	var err error
	o.requests, err = osloroute.NewRequests(osloroute.Config{
		Route: rc.Name, MaxBody: rc.MaxMessage, Permits: replyPermits(from.own, rc.Allow), Post: o.post,
	})
	if err != nil {
		o.close(context.Background())
		return nil, err
	}
	rc.Format = o.requests
	return o, nil
}

// close sends the failures that are left, until ctx ends.
func (o *osloFormat) close(ctx context.Context) {
	if o.post != nil {
		o.post.Close(ctx)
	}
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
	for _, r := range cfg.Routes {
		own = append(own, r.Listen, r.DeadLetter)
	}
	slices.Sort(own)
	return slices.Compact(own)
}
