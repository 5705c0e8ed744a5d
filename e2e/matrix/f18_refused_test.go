package matrix

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// limited is a queue of the configuration with a length.
func limited(queue string, length int) string {
	return fmt.Sprintf("[queues.%q]\narguments = { x-max-length = %d }\n", queue, length)
}

// A queue exists otherwise than the configuration says: the router does not start,
// says what is different and how, and has touched nothing.
func TestF18DeclaredDifferentlyAtTheStart(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	tr := harness.NewTrial(t, n, harness.Load{Seed: harness.Seed(t), Count: harness.Messages(t, 1000), Keys: 8, Pad: 64})
	tr.Window = 0
	c := harness.Dial(t, n)
	stray := tr.In + ".stray"
	if _, err := c.Ch.QueueDeclare(stray, true, false, false, false, amqp091.Table{"x-max-length": int32(5)}); err != nil {
		t.Fatal(err)
	}
	config := limited(stray, 7) + plain("trial", tr.In, "queue:"+tr.Out)
	tr.Struck("a queue with other properties")
	tr.Launch(n.URL(), config)
	code := tr.Router.Wait()
	text := tr.Router.Tail(1)
	for _, words := range []string{stray, "exists with other properties: x-max-length is 5", "7", "change the configuration to match"} {
		if !strings.Contains(text, words) {
			t.Errorf("the router ended with %q, which does not say %q", text, words)
		}
	}
	if code == 0 {
		t.Error("the router ended with code 0")
	}
	tr.Note("exit code", "%d", code)
	if _, err := c.Ch.QueueDelete(stray, false, false, false); err != nil {
		t.Fatal(err)
	}
	tr.BeginWith(n.URL(), config)
	tr.End()
}

// A queue is made anew with other properties while the router listens to it, and the
// connection that declares all queues is cut, and the route's own: RabbitMQ may have
// moved its consumer to the new queue without a word. That route stands still and
// says why; the others go on, over the connections that they have; and when somebody
// deletes the queue it is declared as it should be.
func TestF18DeclaredDifferentlyUnderWay(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	p := newPair(t, n, 4000)
	p.Window, p.other.Window = harness.Prefetch, harness.Prefetch
	idle := rabbitnode.Queue(t, "idle")
	name := fmt.Sprintf("f18-%d", p.Load.Seed)
	p.Broker = fmt.Sprintf("connection_name = %q\n", name)
	c := harness.Dial(t, n)
	c.Declare(idle + ".out")
	p.x.declare()
	p.begin(limited(idle, 700)+plain("idle", idle, "queue:"+idle+".out"), patient)
	p.Router.AwaitReady()
	p.flow(p.Load.Count / 4)
	p.Struck("queue made anew, connection closed")
	p.other.Struck("queue made anew, connection closed")
	harness.Await(t, "the queue to be made anew before the router does it", func() (bool, string) {
		_, err := n.Eval(t.Context(), fmt.Sprintf(`R = rabbit_misc:r(<<"/">>, queue, <<%q>>), {ok, Q} = rabbit_amqqueue:lookup(R),
			{ok, _} = rabbit_amqqueue:delete(Q, false, false, <<"test">>),
			{new, _} = rabbit_amqqueue:declare(R, true, false, [{<<"x-max-length">>, long, 500}], none, <<"test">>), ok`, idle))
		return err == nil, fmt.Sprint(err)
	})
	for _, purpose := range []string{"/send", "/listen " + idle} {
		if closed, err := n.CloseConnections(t.Context(), name+purpose, "fault"); err != nil || closed != 1 {
			t.Fatalf("%d connections%s closed, %v", closed, purpose, err)
		}
	}
	for _, reason := range []string{"route idle: not consuming queue " + idle + `: queue \"`, "broker: not all of the topology is there: queue"} {
		p.Router.AwaitUnready(reason)
	}
	p.Router.AwaitUnready(idle + `\" exists with other properties: x-max-length is 500`)
	harness.AwaitEmpty(t, n, p.other.In)
	harness.AwaitEmpty(t, n, p.In)
	if got := p.Router.Metric("router_amqp_reconnects_total"); got > 2 {
		t.Errorf("%v connections were made again, want no others than the two that were closed", got)
	}
	if _, err := c.Ch.QueueDelete(idle, false, false, false); err != nil {
		t.Fatal(err)
	}
	p.Router.AwaitReady()
	const late = 100
	for id := range late {
		c.Publish(idle, harness.Numbered(p.Load, id))
	}
	harness.AwaitEmpty(t, n, idle)
	p.End()
	p.other.Judge()
	next := 0
	c.Drain(idle+".out", func(d amqp091.Delivery) {
		if id := harness.IDOf(d); id != next {
			t.Errorf("message %d came after %d", id, next-1)
		}
		next++
	})
	if next != late {
		t.Errorf("%d of %d messages passed the queue that was mended", next, late)
	}
}

// user is a user of the broker whose permissions come and go.
type user struct {
	t    *testing.T
	n    *rabbitnode.Node
	name string
}

func newUser(t *testing.T, n *rabbitnode.Node, name string) *user {
	u := &user{t, n, name}
	u.eval(`rabbit_auth_backend_internal:add_user(<<%q>>, <<%[1]q>>, <<"test">>)`, name)
	t.Cleanup(func() {
		_, _ = n.Eval(context.Background(), fmt.Sprintf(`rabbit_auth_backend_internal:delete_user(<<%q>>, <<"test">>)`, name))
	})
	u.may("", "")
	return u
}

func (u *user) eval(format string, args ...any) {
	u.t.Helper()
	if _, err := u.n.Eval(u.t.Context(), fmt.Sprintf(format, args...)); err != nil {
		u.t.Fatal(err)
	}
}

// may lets the user do everything but write to the one and read from the other.
// Channels that there are go on with what they know.
func (u *user) may(notWrite, notRead string) {
	u.t.Helper()
	but := func(name string) string { return "^(?!" + regexp.QuoteMeta(name) + "$)" }
	u.eval(`rabbit_auth_backend_internal:set_permissions(<<%q>>, <<"/">>, <<".*">>, <<%q>>, <<%q>>, <<"test">>)`, u.name, but(notWrite), but(notRead))
}

// cut closes the user's connections for that purpose.
func (u *user) cut(purpose string) {
	u.t.Helper()
	if closed, err := u.n.CloseConnections(u.t.Context(), u.name+"/"+purpose, "fault"); err != nil || closed != 1 {
		u.t.Fatalf("%d connections closed, %v", closed, err)
	}
}

// The permission to publish to one route's exchange is taken away, then that to read
// its source; both come back. What the broker refuses meanwhile is a dead letter that
// says what the user may not; the other route goes on.
func TestF18PermissionsCleared(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	p := newPair(t, n, 1000)
	p.Window, p.other.Window, p.Letter = 1, harness.Prefetch, true
	p.Mixed = true // a dead letter is not before the next of its key
	u := newUser(t, n, fmt.Sprintf("f18-user-%d", p.Load.Seed))
	p.Broker = fmt.Sprintf("connection_name = %q\n", u.name)
	p.x.declare()
	p.BeginWith("amqp://"+u.name+":"+u.name+"@"+n.Addr()+"/",
		plain("trial", p.In, p.x.target(), "prefetch = 1")+plain("other", p.other.In, "queue:"+p.other.Out), p.other)
	p.flow(p.Load.Count / 10)

	p.Struck("no permission to publish")
	p.other.Struck("sending connection closed")
	u.may(p.x.name, "")
	u.cut("send")
	awaitMetric(p.Trial, 10, "messages_sent_total", `result="unsendable"`)
	harness.AwaitEmpty(t, n, p.other.In)
	u.may("", "")
	p.Recovered()

	p.Struck("no permission to read")
	u.may("", p.In)
	u.cut("listen " + p.In)
	p.Router.AwaitUnready("route trial: not consuming queue " + p.In + `: queue \"` + p.In + `\": the user lacks the permission`)
	u.may("", "")
	p.Recovered()
	p.Router.AwaitReady()
	if got := p.Router.Metric("router_amqp_reconnects_total"); got != 2 {
		t.Errorf("%v connections were made again, want the two that were closed", got)
	}
	harness.AwaitEmpty(t, n, p.In)
	deadLetters(p.Trial, func(id int, d amqp091.Delivery) {
		text := fmt.Sprint(d.Headers["x-router-error"])
		if harness.ReasonOf(d) != "unsendable" || !strings.Contains(text, p.x.name) || !strings.Contains(text, u.name) {
			t.Errorf("message %d is a dead letter for %s: %s", id, harness.ReasonOf(d), text)
		}
	})
	r := p.End()
	p.other.Judge()
	if r.Delivered+r.DeadLetters["unsendable"]-r.Duplicated != p.Load.Count || r.Delivered < p.Load.Count/2 {
		t.Errorf("%d delivered and dead letters %v, want each of %d messages in a place, most of them delivered", r.Delivered, r.DeadLetters, p.Load.Count)
	}
}
