package rpc

import (
	"errors"
	"slices"
	"time"

	"github.com/wasmrouter/router/router"
)

// Bounds of what waits for one queue that is missing.
const (
	maxParked      = maxRetries / 16
	maxParkedBytes = maxRetryBytes / 16
)

// errCrowded is wrapped by the error of a message that would have had to wait
// to be sent again, and found no room.
var errCrowded = errors.New("too much waits to be sent again")

// breaker is open while a queue is missing. One message, the probe, is tried
// again; whatever else is for the queue is parked without being published, until
// the probe has come through or is given up. Outbox.mu protects its fields.
type breaker struct {
	probe  *post
	parked []*post // in the order in which they came
	bytes  int     // of the bodies of the parked
}

// park puts p behind the probe of its queue, if that queue is missing. Err is
// why p was returned, or nil for one that was not sent yet. Parked is false if
// p is to be published; the error wraps errCrowded. The caller holds mu.
func (b *outbox) park(p *post, err error) (parked bool, _ error) {
	br := b.breakers[p.breaker]
	if br == nil || br.probe == p {
		return false, nil
	}
	size := len(p.env.Body)
	if len(br.parked) >= maxParked || len(br.parked) > 0 && br.bytes+size > maxParkedBytes || !b.room(p) {
		return false, errCrowded
	}
	if err == nil {
		err = router.ErrUnroutable
	}
	p.err = err
	br.parked = append(br.parked, p)
	br.bytes += size
	b.parked++
	b.bytes += size
	return true, nil
}

// room reports whether one more message may wait. The caller holds mu.
func (b *outbox) room(p *post) bool {
	return len(b.waiting)+b.parked < maxRetries && b.bytes+len(p.env.Body) <= maxRetryBytes
}

// leave frees those behind p, of which it is known what becomes of it: if it
// has come through they are sent, else the next is the probe. It returns those
// whose time is over.
func (b *outbox) leave(p *post, err error) (ended []*post) {
	if p.breaker == "" {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	br := b.breakers[p.breaker]
	if br == nil || br.probe != p {
		return nil
	}
	if err != nil {
		ended = b.expire(br)
	}
	b.parked -= len(br.parked)
	now := time.Now()
	switch {
	case err == nil:
		for _, next := range br.parked {
			next.due, next.err = now, router.ErrUnconfirmed
		}
		b.waiting = append(b.waiting, br.parked...)
		delete(b.breakers, p.breaker)
	case len(br.parked) == 0:
		delete(b.breakers, p.breaker)
	default:
		next := br.parked[0]
		next.due, next.pause = now.Add(p.pause), p.pause
		b.waiting = append(b.waiting, next)
		br.probe, br.parked = next, slices.Delete(br.parked, 0, 1)
		br.bytes -= len(next.env.Body)
		b.parked += len(br.parked)
	}
	b.signal()
	return ended
}

// expire takes those out of br that are not to be waited for any longer. The
// caller holds mu.
func (b *outbox) expire(br *breaker) (ended []*post) {
	now := time.Now()
	br.parked = slices.DeleteFunc(br.parked, func(p *post) bool {
		if p.until.After(now) && !p.abandoned.Load() {
			return false
		}
		br.bytes -= len(p.env.Body)
		b.bytes -= len(p.env.Body)
		b.parked--
		ended = append(ended, p)
		return true
	})
	return ended
}
