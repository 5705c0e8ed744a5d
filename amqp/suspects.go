package amqp

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/wasmrouter/router/router"
)

// maxSuspects bounds what is remembered: messages may choose the exchange.
const maxSuspects = 1024

// suspects remembers the exchanges that do not exist or may not be published to. A
// publish to one costs the whole channel, and of what else is on it nobody knows
// whether it has arrived: it is sent again, perhaps to arrive twice, once for each
// such message. So what goes to a suspect is on a channel only with its like, which
// all get the same answer.
type suspects struct {
	count atomic.Int32 // of known; most often none

	mu    sync.Mutex // protects known
	known map[string]struct{}
}

// mark notes that the exchange has refused a publish.
func (s *suspects) mark(exchange string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSuspects {
		s.known = map[string]struct{}{}
	}
	s.known[exchange] = struct{}{}
	s.count.Store(int32(len(s.known)))
}

// clear forgets the exchange.
func (s *suspects) clear(exchange string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, exchange)
	s.count.Store(int32(len(s.known)))
}

// has reports whether the exchange has refused the last publish.
func (s *suspects) has(exchange string) bool {
	if s.count.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.known[exchange]
	return ok
}

// speaksFor reports whether what became of a publish shows that its exchange takes
// messages.
func speaksFor(err error) bool {
	return err == nil || errors.Is(err, router.ErrNacked) ||
		errors.Is(err, router.ErrUnroutable) && !errors.Is(err, router.ErrNoExchange)
}
