package router

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Headers of a dead letter, beside those of the original message. The last
// three hold what had to be taken off: an expiration would destroy the dead
// letter, another's user id the broker refuses, CC would send copies.
const (
	HeaderPrefix     = "x-router-"
	HeaderReason     = HeaderPrefix + "reason"
	HeaderRoute      = HeaderPrefix + "route"
	HeaderFilter     = HeaderPrefix + "filter"
	HeaderStage      = HeaderPrefix + "stage"
	HeaderAttempts   = HeaderPrefix + "attempts"
	HeaderError      = HeaderPrefix + "error"
	HeaderFirstSeen  = HeaderPrefix + "first-seen"
	HeaderQueue      = HeaderPrefix + "queue"
	HeaderExchange   = HeaderPrefix + "exchange"
	HeaderRoutingKey = HeaderPrefix + "routing-key"
	HeaderMissing    = HeaderPrefix + "missing" // targets that did not get the message
	HeaderExpiration = HeaderPrefix + "expiration"
	HeaderUserID     = HeaderPrefix + "user-id"
	HeaderCC         = HeaderPrefix + "cc"
)

// maxDetail bounds texts in headers, in bytes.
const maxDetail = 256

// stripRouterHeaders removes headers that only the router may set: whoever sends
// a message could otherwise forge a dead letter's history.
func stripRouterHeaders(e *Envelope) {
	for name := range e.headers {
		if len(name) >= len(HeaderPrefix) && strings.EqualFold(name[:len(HeaderPrefix)], HeaderPrefix) {
			e.DelHeader(name)
		}
	}
}

// deadLetter sends the message as it was received, with the reason, to the
// route's dead-letter queue. The delivery is acknowledged when that is
// confirmed, and not before.
func (l *lane) deadLetter(work context.Context, f *flight, fail *failure) {
	l.route.stat.deadLettered(fail.reason)
	l.warn("message dead-lettered", f, fail)

	var missing []any
	for i := range f.outputs {
		if o := &f.outputs[i]; !o.done {
			missing = append(missing, o.target.String())
		}
	}
	e := f.delivery.Envelope.Clone()
	if e.Expiration != "" {
		e.SetHeader(HeaderExpiration, e.Expiration)
		e.Expiration = ""
	}
	if e.UserID != "" {
		e.SetHeader(HeaderUserID, e.UserID)
	}
	if cc, ok := e.Header("CC"); ok {
		e.SetHeader(HeaderCC, cc)
		e.DelHeader("CC")
	}
	e.DelHeader("BCC")
	e.SetHeader(HeaderReason, fail.reason)
	e.SetHeader(HeaderRoute, l.route.cfg.Name)
	if fail.filter != "" {
		e.SetHeader(HeaderFilter, fail.filter)
	}
	if fail.stage != "" {
		e.SetHeader(HeaderStage, fail.stage)
	}
	e.SetHeader(HeaderAttempts, int64(f.attempts))
	e.SetHeader(HeaderError, printable(fail.err.Error(), maxDetail))
	e.SetHeader(HeaderFirstSeen, e.Origin.Received)
	e.SetHeader(HeaderQueue, e.Origin.Queue)
	e.SetHeader(HeaderExchange, e.Origin.Exchange)
	e.SetHeader(HeaderRoutingKey, e.Origin.RoutingKey)
	if len(missing) > 0 {
		e.SetHeader(HeaderMissing, missing)
	}
	f.env, f.dead = e, true
	clear(f.outputs)
	f.outputs = append(f.outputs[:0], output{flight: f, target: l.route.cfg.DeadLetter, env: &f.env})
	l.send(work, f)
}

// Error implements error for the log.
func (f *failure) Error() string {
	where := f.reason
	if f.filter != "" {
		where += " (filter " + f.filter + ", stage " + f.stage + ")"
	}
	return where + ": " + printable(f.err.Error(), maxDetail)
}

// sendFailure returns why a message that its filters let pass did not arrive.
func sendFailure(err error) *failure {
	reason := ReasonUnconfirmed
	switch {
	case errors.Is(err, ErrUnroutable):
		reason = ReasonUnroutable
	case errors.Is(err, ErrUnsendable):
		reason = ReasonUnsendable
	case errors.Is(err, ErrNacked):
		reason = ReasonNacked
	}
	return &failure{reason: reason, err: err, policy: PolicyDeadLetter}
}

// printable escapes what is not printable and keeps at most n bytes.
func printable(s string, n int) string {
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	if len(q) <= n {
		return q
	}
	for n > 0 && !utf8.RuneStart(q[n]) {
		n--
	}
	return q[:n]
}
