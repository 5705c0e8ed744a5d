// Package testbroker has tests run against both brokers that there are for them:
// RabbitMQ, which is what counts, and the embedded one of package broker, which has
// to do the same. What a test needs from behind the wire, to look at or to break,
// is asked of a [Broker].
package testbroker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// Broker is the broker that a test runs on: one of its fields is nil. Its methods
// are safe for concurrent use but for Up.
type Broker struct {
	// Node is RabbitMQ.
	Node *rabbitnode.Node
	// Server is the embedded broker.
	Server *broker.Server

	addr string
}

// MaxMessage is how large a message the embedded broker takes, in bytes.
const MaxMessage = 4 << 20

// Both runs a test on each broker, as its subtests RabbitMQ and embedded. The
// RabbitMQ is the one that all tests of the process share, so that the package's
// TestMain has to call [Main]; the embedded broker is the test's own.
func Both(t *testing.T, test func(t *testing.T, at *Broker)) {
	t.Helper()
	t.Run("RabbitMQ", func(t *testing.T) { test(t, RabbitMQ(t)) })
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t)) })
}

// BothAlone is [Both] with a RabbitMQ of the test's own, for one that stops it.
func BothAlone(t *testing.T, test func(t *testing.T, at *Broker)) {
	t.Helper()
	t.Run("RabbitMQ", func(t *testing.T) {
		node, err := rabbitnode.Start(t.Context(), rabbitnode.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(node.Stop)
		test(t, &Broker{Node: node, addr: node.Addr()})
	})
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t)) })
}

// RabbitMQ returns the shared node, for a test of what only RabbitMQ has.
func RabbitMQ(tb rabbitnode.TB) *Broker {
	tb.Helper()
	node := rabbitnode.Shared(tb)
	return &Broker{Node: node, addr: node.Addr()}
}

// embedded returns a broker that is closed at the end of the test.
func embedded(t *testing.T) *Broker {
	t.Helper()
	b := &Broker{addr: "127.0.0.1:0"}
	if err := b.serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Server.Close() })
	return b
}

// serve starts an embedded broker at the address. It takes quorum queues for classic
// ones: what a test asks of them is the same.
func (b *Broker) serve(ctx context.Context) (err error) {
	b.Server = broker.New(broker.Config{AnyQueueType: true, MaxMessage: MaxMessage})
	if b.addr, err = b.Server.Listen(ctx, b.addr); err != nil {
		b.Server.Close()
	}
	return err
}

// Addr returns the host and port.
func (b *Broker) Addr() string { return b.addr }

// URL returns the URL of the default virtual host, with a user's name and password.
func (b *Broker) URL() string { return "amqp://guest:guest@" + b.addr + "/" }

// QueueLen returns how many messages a queue of the default virtual host holds,
// those included that wait for an acknowledgement.
func (b *Broker) QueueLen(ctx context.Context, queue string) (int, error) {
	if b.Node != nil {
		return b.Node.QueueLen(ctx, queue)
	}
	q, err := b.queue(queue)
	return q.Ready + q.Unacked, err
}

func (b *Broker) queue(name string) (broker.QueueStat, error) {
	for _, q := range b.Server.Stat().Queues {
		if q.VHost == "/" && q.Name == name {
			return q, nil
		}
	}
	return broker.QueueStat{}, fmt.Errorf("there is no queue %q", name)
}

// Consumers returns who consumes a queue of the default virtual host: nobody if it
// does not exist. What is returned for a consumer is no other's, also later.
func (b *Broker) Consumers(ctx context.Context, queue string) ([]string, error) {
	var list []string
	if b.Node != nil {
		out, err := b.Node.Eval(ctx, fmt.Sprintf(`case rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<%q>>)) of
			{ok, Q} -> [iolist_to_binary(io_lib:format("~p ~s", [element(1, C), element(2, C)])) || C <- rabbit_amqqueue:consumers(Q)];
			_ -> []
		end`, queue))
		for part := range strings.SplitSeq(strings.Trim(out, "[]"), ",") {
			if part != "" {
				list = append(list, part)
			}
		}
		return list, err
	}
	q, err := b.queue(queue)
	if err != nil {
		return nil, nil
	}
	for _, c := range q.Consumed {
		list = append(list, fmt.Sprint(c))
	}
	return list, nil
}

// ForgetConsumers has the queue forget its consumers without telling them, and
// returns how many there were.
func (b *Broker) ForgetConsumers(ctx context.Context, queue string) (int, error) {
	if b.Server != nil {
		return b.Server.Faults().ForgetConsumers("/", queue), nil
	}
	out, err := b.Node.Eval(ctx, fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<%q>>)),
		length([ok = gen_server2:call(amqqueue:get_pid(Q), {basic_cancel, element(1, C), element(2, C), undefined, <<"test">>}) || C <- rabbit_amqqueue:consumers(Q)])`, queue))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// Connections returns how many connections are open whose name begins so.
func (b *Broker) Connections(ctx context.Context, name string) (int, error) {
	if b.Node != nil {
		return b.Node.Connections(ctx, name)
	}
	all := b.Server.Stat().Connections
	return len(slices.DeleteFunc(all, func(c broker.ConnectionStat) bool { return !strings.HasPrefix(c.Name, name) })), nil
}

// CloseConnections closes the connections whose name begins so, giving that reason,
// and returns how many there were.
func (b *Broker) CloseConnections(ctx context.Context, name, reason string) (int, error) {
	if b.Node != nil {
		return b.Node.CloseConnections(ctx, name, reason)
	}
	begins := func(full string) bool { return strings.HasPrefix(full, name) }
	return b.Server.Faults().CloseConnections(begins, 320, "CONNECTION_FORCED - "+reason), nil
}

// Block has the broker short of memory until [Broker.Unblock]: it stops those who
// publish. On RabbitMQ that concerns all tests, so none may run beside one that
// blocks.
func (b *Broker) Block(ctx context.Context) error {
	if b.Server != nil {
		b.Server.Faults().Block()
		return nil
	}
	_, err := b.Node.Eval(ctx, "rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})")
	return err
}

// Unblock ends Block.
func (b *Broker) Unblock(ctx context.Context) error {
	if b.Server != nil {
		b.Server.Faults().Unblock()
		return nil
	}
	_, err := b.Node.Eval(ctx, "rabbit_alarm:clear_alarm({resource_limit, memory, node()})")
	return err
}

// Down ends all connections, and nobody listens until [Broker.Up]. It is for
// [BothAlone].
func (b *Broker) Down(ctx context.Context) error {
	if b.Server != nil {
		b.Server.Close()
		return nil
	}
	return b.Node.StopApp(ctx)
}

// Up ends Down. The embedded broker has forgotten everything.
func (b *Broker) Up(ctx context.Context) error {
	if b.Server != nil {
		return b.serve(ctx)
	}
	return b.Node.StartApp(ctx)
}
