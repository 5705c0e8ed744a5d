package broker

import (
	"cmp"
	"slices"
)

// transaction is what a channel in tx mode has done since the last commit. It
// counts as memory meanwhile.
type transaction struct {
	publishes []*content
	settled   []settlement
}

// settlement is an acknowledgement, or a rejection.
type settlement struct {
	taken    []outstanding
	rejected bool
	requeue  bool
}

func (ch *channel) txMethod(method uint16) *exception {
	switch {
	case method != 10 && method != 20 && method != 30:
		return unknownMethod(90, method)
	case method == 10 && ch.confirm:
		return channelError(codePreconditionFailed, "cannot switch from confirm to tx mode")
	case method == 10 && ch.tx == nil:
		ch.tx = &transaction{}
	case ch.tx == nil:
		return channelError(codePreconditionFailed, "channel is not transactional")
	}
	switch method {
	case 20:
		ch.commit()
	case 30:
		ch.rollback()
	}
	ch.send(90, method+1, nil)
	return nil
}

// commit does what was put off. RabbitMQ finds a message's queues when it is
// published; here that is now, which differs for bindings that come or go meanwhile.
func (ch *channel) commit() {
	tx := ch.tx
	for _, c := range tx.publishes {
		ch.v.memory(-c.message.size())
		ch.pass(c)
	}
	for _, s := range tx.settled {
		ch.finish(s)
	}
	ch.tx = &transaction{}
	ch.proceed()
}

// rollback forgets what was put off. What was settled is outstanding again.
func (ch *channel) rollback() {
	for _, c := range ch.tx.publishes {
		ch.v.memory(-c.message.size())
	}
	ch.out, ch.done = slices.DeleteFunc(ch.out, func(o outstanding) bool { return o.done }), 0
	for _, s := range ch.tx.settled {
		ch.out = append(ch.out, s.taken...)
	}
	slices.SortFunc(ch.out, func(a, b outstanding) int { return cmp.Compare(a.tag, b.tag) })
	ch.tx = &transaction{}
}
