package transport

import (
	"reflect"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/rpc"
)

// Stat is a transport at one moment. Those of clients, servers and listeners are
// sums over all that it has made.
type Stat struct {
	Broker   amqp.Stat
	Client   rpc.ClientStat
	Server   rpc.ServerStat
	Listener rpc.NotificationStat
}

// Stat returns the transport's state and counters. What happens meanwhile may be
// in some of them and not in others.
func (t *Transport) Stat() Stat {
	s := Stat{Broker: t.broker.Stat()}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.clients {
		add(&s.Client, c.Stat())
	}
	for _, srv := range t.servers {
		add(&s.Server, srv.Stat())
	}
	for _, l := range t.listeners {
		add(&s.Listener, l.Stat())
	}
	return s
}

// add adds the numbers of one struct, which are all it has, to those of another.
func add[T any](sum *T, s T) {
	to, from := reflect.ValueOf(sum).Elem(), reflect.ValueOf(s)
	for i := range to.NumField() {
		if f := to.Field(i); f.CanInt() {
			f.SetInt(f.Int() + from.Field(i).Int())
		} else {
			f.SetUint(f.Uint() + from.Field(i).Uint())
		}
	}
}
