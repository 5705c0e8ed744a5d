package recording

import (
	"slices"

	"github.com/wasmrouter/router/app/offline"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/router"
)

// What changes, besides what [workbench.Changes] names.
const (
	whatAction  = "action"
	whatReason  = "reason"
	whatFilter  = "filter"
	whatStage   = "stage"
	whatError   = "error"
	whatMessage = "message" // one that is sent, or is not
)

// settled is a decision without what the broker did about it: a message that was
// decided to go on, or an answer, has gone, also where no queue took it. Neither
// filters nor configuration would have it otherwise.
func settled(d *record.Decision) record.Decision {
	s := *d
	switch d.Reason {
	case router.ReasonUnroutable, router.ReasonNacked, router.ReasonUnconfirmed:
		if len(d.Sent) > 0 {
			s.Action, s.Reason, s.Filter, s.Stage, s.Error = record.ActionForward, "", "", "", ""
		}
		if slices.ContainsFunc(d.Sent, func(one record.Sent) bool { return one.Reply }) {
			s.Action = record.ActionReply
		}
	}
	return s
}

// diff returns what would be different.
func (r *replay) diff(before, after *record.Record) []Change {
	was, now := settled(&before.Decision), settled(&after.Decision)
	var all []Change
	add := func(what, a, b string) {
		if a != b {
			all = append(all, Change{What: what, Was: orNil(a), Now: orNil(b)})
		}
	}
	add(whatAction, was.Action, now.Action)
	add(whatReason, was.Reason, now.Reason)
	add(whatFilter, was.Filter, now.Filter)
	add(whatStage, was.Stage, now.Stage)
	if was.Action == now.Action && was.Error != "" { // "" was taken out before it was written
		add(whatError, was.Error, now.Error)
	}
	return append(all, r.messages(before.Route, was.Sent, now.Sent)...)
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// messages compares what is sent: of each target the first with the first, the
// second with the second and so on.
func (r *replay) messages(route string, was, now []record.Sent) []Change {
	var all []Change
	used := make([]bool, len(now))
	for i := range was {
		j := next(now, used, was[i].Target)
		if j < 0 {
			all = append(all, Change{What: whatMessage, To: was[i].Target.String(), Was: "sent"})
			continue
		}
		used[j] = true
		a, b := r.inside(route, was[i].Envelope), r.inside(route, now[j].Envelope)
		for _, c := range workbench.Changes(&a, &b) {
			all = append(all, Change{c.What, was[i].Target.String(), workbench.JSON(c.What, c.Old), workbench.JSON(c.What, c.New)})
		}
	}
	for j := range now {
		if !used[j] {
			all = append(all, Change{What: whatMessage, To: now[j].Target.String(), Now: "sent"})
		}
	}
	return all
}

// next returns the first message to a target that has not been compared, or -1.
func next(list []record.Sent, used []bool, to router.Target) int {
	for i := range list {
		if !used[i] && list[i].Target == to {
			return i
		}
	}
	return -1
}

// inside returns what is compared of a message. A proxy makes calls in its own
// name, with ids and a queue for replies that are others each time; so these are
// left out.
func (r *replay) inside(route string, env router.Envelope) router.Envelope {
	if !r.routes.Proxied(route) {
		return env
	}
	inner, err := offline.Inside(r.routes.Config().Routes[route], env)
	if err != nil {
		return env
	}
	inner.CorrelationID, inner.ReplyTo = "", ""
	return inner
}
