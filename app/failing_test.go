package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/internal/testbroker"
)

// waiting returns how many messages are in a queue.
func (c *client) waiting(queue string) int {
	c.t.Helper()
	q, err := c.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return q.Messages
}

// A filter that fails on every message costs a few of them and then rests: the
// others stay in their queue, the router says so, and a filter that is mended by
// a reload gets them at once.
func TestAFilterThatKeepsFailing(t *testing.T) { testbroker.Both(t, testAFilterThatKeepsFailing) }

func testAFilterThatKeepsFailing(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out")
	in, out := q[0], q[1]
	const messages, free = 200, 8
	for i := range messages {
		c.publish(in, fmt.Sprintf(`{"n":%d}`, i))
	}
	// A drain that waited for the rest's end would take longer than the test.
	route := fmt.Sprintf("[routes.r]\nlisten = %q\nfilters = [\"f\"]\nsend = [\"queue:%s\"]\nallow = [\"queue:%s\"]\n", in, out, out)
	text := strings.Replace(head(at.URL()), "[process]\n", "[process]\ndrain_timeout = \"1h\"\n", 1) + route
	app := build(t, text+"[filters.f]\npath = \"demo:trap\"\nlimits = { restart_backoff = \"1m\", max_backoff = \"1h\" }\n")
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the filter to be known as failing", func() (bool, string) {
		_, reasons := app.Ready()
		state := strings.Join(reasons, "; ")
		return strings.HasPrefix(state, "filter f keeps failing (decide: trap: unreachable") &&
			strings.Contains(state, fmt.Sprintf("; %d in a row), next try in ", free+1)), state
	})
	s := app.Snapshot().Filters[0]
	if !s.Failing || s.Backoff.Minutes() != 1 || s.Restarts != free {
		t.Errorf("%+v", s)
	}
	if diff := cmp.Diff(map[string]uint64{"trap": free + 1}, s.Discarded); diff != "" {
		t.Error(diff)
	}
	dead := in + ".dead"
	await(t, "the dead letters", func() (bool, string) {
		n := c.waiting(dead)
		return n == free+1, fmt.Sprint(n)
	})

	app.mustReload(text + "[filters.f]\npath = \"stock:content-router\"\nconfig = { field = \"body:n\", routes = { x = \"queue:y\" }, default = \"pass\" }\n")
	await(t, "the other messages", func() (bool, string) {
		n := c.waiting(out)
		return n == messages-free-1, fmt.Sprint(n)
	})
	if n := c.waiting(dead); n != free+1 {
		t.Errorf("%d dead letters, %d before the reload", n, free+1)
	}
	if n := strings.Count(app.log.String(), "keeps failing"); n != 1 {
		t.Errorf("%d lines about it in the log", n)
	}
}

// Old and new lanes are there together while a route is exchanged; the limit on
// instances holds for both, and none of them goes without.
func TestReloadWithinTheLimitOfInstances(t *testing.T) {
	testbroker.Both(t, testReloadWithinTheLimitOfInstances)
}

func testReloadWithinTheLimitOfInstances(t *testing.T, at *testbroker.Broker) {
	c := dial(t, at)
	q := c.queues("in", "out")
	in, out := q[0], q[1]
	text := head(at.URL()) + fmt.Sprintf(`[filters.f]
path = "stock:content-router"
config = { field = "body:n", routes = { x = "queue:%s" }, default = "pass" }
limits = { instances = 5 }
[routes.r]
listen = %q
filters = ["f"]
send = ["queue:%s"]
allow = ["queue:%s"]
order = "none"
parallel = 4
`, out, in, out, out)
	app := start(t, text)
	for round := range 3 {
		for range 20 {
			c.publish(in, "{}")
		}
		await(t, "the messages", func() (bool, string) {
			n := c.waiting(out)
			return n == 20*(round+1), fmt.Sprint(n)
		})
		if s := app.Snapshot().Filters[0]; s.Lent != 4 || s.Idle > 1 {
			t.Errorf("round %d: %d lent and %d idle instances", round, s.Lent, s.Idle)
		}
		app.mustReload(strings.Replace(text, "parallel = 4\n", fmt.Sprintf("parallel = 4\nprefetch = %d\n", 10+round), 1))
	}
	err := app.reload(strings.Replace(text, "parallel = 4", "parallel = 5", 1))
	if err == nil || !strings.Contains(err.Error(), "filters.f.limits.instances: 5 are too few: routes r (5 lanes) and a spare take 6; raise it to 6, or lower parallel") {
		t.Error(err)
	}
}
