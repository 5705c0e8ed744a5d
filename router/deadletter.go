package router

import (
	"errors"
	"strconv"
	"strings"
	"time"
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
	// HeaderLeftOut says what a dead letter lacks because it would have been
	// too large to be sent otherwise: "details" is these headers but reason and
	// route, "headers" is the headers of the original message.
	HeaderLeftOut = HeaderPrefix + "left-out"
)

const (
	maxDetail  = 256 // bounds texts in headers, in bytes
	maxMissing = 16  // bounds how many targets HeaderMissing names
)

// letter is what a flight keeps to write its dead letter.
type letter struct {
	fail     *failure
	missing  []any
	attempts int
	size     letterSize
}

// letterSize is how much a dead letter says.
type letterSize uint8

const (
	wholeLetter letterSize = iota
	withoutDetails
	withoutHeaders
)

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
func (l *lane) deadLetter(f *flight, fail *failure) {
	seen, e := l.route.seen, &f.delivery.Envelope
	target := l.route.cfg.DeadLetter
	key := seen.key(f.id, e, target, toDeadLetter)
	f.outcome.Loss, f.outcome.Err = fail.loss(), fail.err
	switch {
	case !e.Origin.Redelivered:
		seen.forget(key)
	case seen.has(key, time.Now()):
		l.route.stat.duplicates.Add(1)
		f.ack(verdictReject)
		return
	}
	l.route.stat.deadLettered(fail.reason)
	if !f.arrived() { // else somebody has it, and may answer
		l.mourn(f, fail.loss())
	}
	l.warn("message dead-lettered", f, fail)
	f.letter = &letter{fail: fail, missing: f.missing(), attempts: f.attempts}
	f.env = l.route.writeLetter(e, f.letter)
	f.clearOutputs()
	f.outputs = append(f.outputs, output{flight: f, target: target, counts: l.route.targets.letters, env: &f.env, key: key})
	l.send(f)
}

// deadLetterFailed tries again with a dead letter that was not taken: with a
// smaller one at once if it cannot be sent as it is, else later.
func (l *lane) deadLetterFailed(f *flight) {
	o := &f.outputs[0]
	l.route.stat.deadLetterFailures.Add(1)
	l.warn("dead letter not taken; the message stays in its queue and is tried again", f, o.err)
	smaller := o.unfit && f.letter.size < withoutHeaders
	if smaller {
		f.letter.size++
		f.env = l.route.writeLetter(&f.delivery.Envelope, f.letter)
	}
	// A queue that is missing now may be there by then.
	o.final, o.unfit = false, false
	if smaller {
		l.send(f)
		return
	}
	l.hold(f, 0)
}

// missing returns the targets that did not get the message.
func (f *flight) missing() []any {
	var missing []any
	for i := range f.outputs {
		o := &f.outputs[i]
		switch {
		case o.done:
		case len(missing) == maxMissing:
			return append(missing, "and others")
		case o.target.Validate() != nil:
			missing = append(missing, printable(o.target.String(), maxDetail))
		default:
			missing = append(missing, o.target.String())
		}
	}
	return missing
}

// writeLetter returns the dead letter of a message that was received as
// original.
func (r *Route) writeLetter(original *Envelope, w *letter) Envelope {
	e := original.Clone()
	if w.size == withoutHeaders {
		e.ClearHeaders()
	}
	cc, hasCC := e.Header("CC")
	e.DelHeader("CC")
	e.DelHeader("BCC")
	stripCounts(&e)
	e.SetHeader(HeaderReason, w.fail.reason)
	e.SetHeader(HeaderRoute, r.cfg.Name)
	if e.Expiration != "" {
		e.SetHeader(HeaderExpiration, e.Expiration)
		e.Expiration = ""
	}
	switch w.size {
	case withoutDetails:
		e.SetHeader(HeaderLeftOut, "details")
		return e
	case withoutHeaders:
		e.SetHeader(HeaderLeftOut, "headers")
	}
	if e.UserID != "" {
		e.SetHeader(HeaderUserID, e.UserID)
	}
	if hasCC {
		e.SetHeader(HeaderCC, cc)
	}
	if w.fail.filter != "" {
		e.SetHeader(HeaderFilter, w.fail.filter)
	}
	if w.fail.stage != "" {
		e.SetHeader(HeaderStage, w.fail.stage)
	}
	e.SetHeader(HeaderAttempts, int64(w.attempts))
	e.SetHeader(HeaderError, printable(w.fail.err.Error(), maxDetail))
	e.SetHeader(HeaderFirstSeen, e.Origin.Received)
	e.SetHeader(HeaderQueue, e.Origin.Queue)
	e.SetHeader(HeaderExchange, e.Origin.Exchange)
	e.SetHeader(HeaderRoutingKey, e.Origin.RoutingKey)
	if len(w.missing) > 0 {
		e.SetHeader(HeaderMissing, w.missing)
	}
	return e
}

func (f *failure) loss() Loss {
	return Loss{Reason: f.reason, Filter: f.filter, Stage: f.stage, Text: f.text}
}

// Error implements error for the log, where what is in messages does not belong.
func (f *failure) Error() string {
	where := f.reason
	if f.filter != "" {
		where += " (filter " + f.filter + ", stage " + f.stage + ")"
	}
	if loss := f.loss(); loss.Quotes() {
		return where
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
	// Escaping makes nothing shorter.
	q := strconv.Quote(s[:min(len(s), n+utf8.UTFMax)])
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	if len(q) <= n {
		return q
	}
	for n > 0 && !utf8.RuneStart(q[n]) {
		n--
	}
	return q[:n]
}
