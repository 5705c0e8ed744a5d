package amqp

import "context"

// address is where a publish goes.
type address struct{ exchange, key string }

// maxProofs is how many addresses a link remembers; of further ones each publish counts
// as the first again.
const maxProofs = 4096

// proofs are the addresses at which a channel has had an answer. RabbitMQ registers a
// channel at a quorum queue with its first publish there, and refuses that publish alone
// if it finds no leader; what follows without a pause may be taken, and so come before
// what was refused. Therefore the first publish of a link to each address goes ahead, and
// the others wait until it is settled.
//
// A link's lock protects them.
type proofs struct {
	had  map[address]bool // false: the first is on its way
	news chan struct{}    // closed and replaced when one was settled
}

func newProofs() proofs { return proofs{map[address]bool{}, make(chan struct{})} }

// begin notes a publish and reports whether it is the first. It is not to be called while
// the first is on its way.
func (p *proofs) begin(to address) bool {
	if p.had[to] {
		return false
	}
	if len(p.had) >= maxProofs {
		for a, had := range p.had {
			if had {
				delete(p.had, a)
			}
		}
	}
	p.had[to] = false
	return true
}

// settle notes what became of the first publish. If it was not taken, the next one is
// the first.
func (p *proofs) settle(to address, taken bool) {
	if taken {
		p.had[to] = true
	} else {
		delete(p.had, to)
	}
	close(p.news)
	p.news = make(chan struct{})
}

// prove waits while the first publish to an address is on its way. It returns errDead
// when the link has ended, or ctx's error.
func (l *link) prove(ctx context.Context, to address) error {
	for {
		l.mu.Lock()
		had, found := l.proofs.had[to]
		news := l.proofs.news
		l.mu.Unlock()
		if had || !found {
			return nil
		}
		select {
		case <-news:
		case <-l.done:
			return errDead
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
