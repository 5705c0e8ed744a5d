package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/broker"
	"github.com/wasmrouter/router/internal/testbroker"
)

// A paused route leaves its messages in the queue, whatever is reloaded, and goes on
// where it was.
func TestAPausedRouteLeavesItsMessages(t *testing.T) {
	testbroker.Both(t, testAPausedRouteLeavesItsMessages)
}

func testAPausedRouteLeavesItsMessages(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out", "other")
	text := strings.Replace(head(at.URL()), `listen = ""`, `listen = "127.0.0.1:0"`, 1) + withFilter(q[0], q[1]) +
		fmt.Sprintf("[routes.other]\nlisten = %q\nsend = [\"queue:%s\"]\n", q[2], q[1])
	in := start(t, text)
	c.publish(q[0], "1")
	if got := c.arrives(q[1]); got != "1" {
		t.Fatalf("got %q", got)
	}

	before := consumer(t, at, q[2])
	in.paused("r", "pause", true)
	in.paused("r", "pause", true) // it stays so
	if got := consumer(t, at, q[0]); got != "" {
		t.Errorf("%s consumes the queue of the paused route", got)
	}
	c.publish(q[0], "2")
	c.publish(q[2], "by the other")
	if got := c.arrives(q[1]); got != "by the other" {
		t.Errorf("the paused route has sent %q", got)
	}
	for _, change := range []string{text, strings.Replace(text, "filters = ", "prefetch = 7\nfilters = ", 1), text} {
		if err := in.reload(change); err != nil {
			t.Fatal(err)
		}
		if got := consumer(t, at, q[0]); got != "" {
			t.Errorf("after a reload %s consumes the queue of the paused route", got)
		}
	}
	if got := consumer(t, at, q[2]); got != before || got == "" {
		t.Errorf("the other route is consumed as %s, before as %s", got, before)
	}
	if n := c.waiting(q[0]); n != 1 {
		t.Errorf("%d messages wait in the queue of the paused route, want 1", n)
	}

	_, _, body := in.request(request{"GET /api/status", "", "", 200})
	var status app.Status
	if err := json.Unmarshal(body, &status); err != nil {
		t.Fatal(err)
	}
	for _, r := range status.Routes {
		if want := r.Name == "r"; r.Paused != want || (r.PausedAt != nil) != want || r.Consuming == want {
			t.Errorf("status: %+v", r)
		}
	}
	if code, text := get(t, in, "/readyz"); code != 200 || !strings.Contains(text, "route r: paused since ") || !status.Ready {
		t.Errorf("readyz: %d %s", code, text)
	}
	if _, text := get(t, in, "/metrics"); !strings.Contains(text, `router_route_paused{route="r"} 1`) || !strings.Contains(text, `router_route_paused{route="other"} 0`) {
		t.Error("metrics do not have the route as paused")
	}

	in.paused("r", "resume", false)
	in.paused("r", "resume", false)
	if got := c.arrives(q[1]); got != "2" {
		t.Errorf("after it has resumed the route sent %q", got)
	}
	in.ready()
	if got := consumer(t, at, q[0]); got == "" {
		t.Error("nobody consumes the queue of the resumed route")
	}

	// It can be removed, and is then forgotten; a stop does not wait for it.
	in.paused("r", "pause", true)
	in.mustReload(strings.Replace(text, "routes.r]", "routes.s]", 1))
	c.publish(q[0], "3")
	if got := c.arrives(q[1]); got != "3" {
		t.Errorf("the route of another name sent %q", got)
	}
	in.paused("s", "pause", true)
	in.stop()
}

// What a route has in hand when it is paused is settled, also what has to be tried
// again first.
func TestAPausedRouteSettlesWhatItHas(t *testing.T) {
	s := broker.New(broker.Config{})
	address, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	in := start(t, strings.Replace(head("amqp://guest:guest@"+address+"/"), `listen = ""`, `listen = "127.0.0.1:0"`, 1)+`
[routes.r]
listen = "in"
send = ["queue:out"]
retry = { max_attempts = 1000000, backoff = "1ms", max_backoff = "10ms" }
[queues.in]
[queues.out]
`)
	s.Faults().NackPublishes(1 << 30)
	c := openBench(t, "amqp://guest:guest@"+address+"/")
	c.publish(t, []int{1})
	await(t, "the message to be tried again", func() (bool, string) {
		st := in.Status().Routes[0]
		return st.Retries > 2, fmt.Sprintf("%+v", st)
	})
	answered := make(chan string, 1)
	go func() {
		_, _, body := in.request(request{"POST /api/routes/r/pause", "", "", 200})
		answered <- string(body)
	}()
	await(t, "the route to be paused", func() (bool, string) { return in.Status().Routes[0].Paused, "it is not" })
	select {
	case body := <-answered:
		t.Errorf("the route has a message in hand and pausing it is answered: %s", body)
	default:
	}
	s.Faults().NackPublishes(0)
	if body := <-answered; !strings.Contains(body, `"inflight":0`) {
		t.Errorf("answered %s", body)
	}
	st := in.Status().Routes[0]
	if st.Settled["forward"] != 1 || st.Sent["ok"] != 1 {
		t.Errorf("%+v", st)
	}
}

// paused pauses or resumes a route, and says that it is so.
func (in *instance) paused(route, do string, want bool) {
	in.t.Helper()
	code, _, body := in.request(request{"POST /api/routes/" + route + "/" + do, "", "", 200})
	var s app.RouteState
	if err := json.Unmarshal(body, &s); err != nil || code != 200 || s.Route != route || s.Paused != want || want && s.Inflight != 0 {
		in.t.Errorf("%s %s: %d %s", do, route, code, body)
	}
}
