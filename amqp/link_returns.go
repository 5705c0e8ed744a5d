package amqp

import (
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// match notes on the publishes which of them the broker has returned. The
// library's reader queues a return before it notes the confirm that follows
// it, so that a publish whose confirm is known has its return in the queue or
// has none.
func (l *link) match() (err error) {
	for {
		select {
		case ret, ok := <-l.returns:
			if !ok {
				l.returns = nil
				return err
			}
			if !l.matchOne(&ret) {
				l.stray = true
				err = fmt.Errorf("the broker returned a message to %s that was not published here", where(ret.Exchange, ret.RoutingKey))
			}
		default:
			return err
		}
	}
}

func (l *link) matchOne(ret *amqp091.Return) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The broker returns in the order of publishing: look behind the last
	// match first. The looser comparisons are for what a broker might change.
	for _, same := range [...]func(p *pending) bool{
		func(p *pending) bool { return sameMessage(ret, p.exchange, p.key, p.env) },
		func(p *pending) bool {
			return p.exchange == ret.Exchange && p.key == ret.RoutingKey && string(p.env.Body) == string(ret.Body)
		},
		func(p *pending) bool { return p.exchange == ret.Exchange && p.key == ret.RoutingKey },
	} {
		for i := range l.n {
			i = (l.seen + i) % l.n
			p := &l.ring[(l.head+i)%len(l.ring)]
			if p.returned == "" && same(p) {
				p.returned = ret.ReplyText + ": " + where(ret.Exchange, ret.RoutingKey)
				l.seen = i + 1
				return true
			}
		}
	}
	return false
}
