package app_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/shadow"
	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/internal/testkit"
)

// trialRouter is its own broker, with a filter that is tried with the keys of its
// shadow table. Only what never ends meets the time limit, however busy the machine.
func trialRouter(address, shadow string) string {
	limit := "1m"
	if strings.Contains(shadow, "demo:loop") {
		limit = "200ms"
	}
	return fmt.Sprintf(`
[broker]
url = "embedded://me:secret@%s/v"
[queues.in]
[queues.out]
[queues.new]
[queues.wrong]
[filters.f]
path = "stock:content-router"
config = { field = "body:type", routes = { x = "queue:out" } }
[filters.f.limits]
time = %q
[filters.f.shadow]
%s
[routes.r]
listen = "in"
filters = ["f"]
allow = ["queue:*"]
[process]
cache_dir = %q
[admin]
listen = "127.0.0.1:0"
[log]
format = "json"
`, address, limit, shadow, cacheDir)
}

const (
	sameKeys  = "path = \"stock:content-router\"\n"
	newKeys   = sameKeys + "config = { field = \"body:type\", routes = { x = \"queue:new\" } }\n"
	wrongKeys = sameKeys + "config = { field = \"body:type\", routes = { x = \"queue:wrong\" } }\n"
)

// trial is a router under test with a client at its broker.
type trial struct {
	*instance
	address string
	ch      *amqp091.Channel
	sent    int
}

func startTrial(t *testing.T, shadow string) *trial {
	t.Helper()
	r := &trial{address: testkit.FreeAddress(t)}
	r.instance = start(t, trialRouter(r.address, shadow))
	conn, err := amqp091.Dial("amqp://me:secret@" + r.address + "/v")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if r.ch, err = conn.Channel(); err != nil {
		t.Fatal(err)
	}
	return r
}

// publish sends the next n messages, numbered.
func (r *trial) publish(n int) {
	r.t.Helper()
	for range n {
		err := r.ch.PublishWithContext(r.t.Context(), "", "in", true, false, amqp091.Publishing{
			MessageId: fmt.Sprint(r.sent), Body: fmt.Appendf(nil, `{"type":"x","n":%d}`, r.sent),
		})
		if err != nil {
			r.t.Fatal(err)
		}
		r.sent++
	}
}

// report returns the trial as the API shows it.
func (r *trial) report() *app.ShadowReport {
	r.t.Helper()
	report, err := r.Shadow("f")
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// in waits for a state.
func (r *trial) in(state string) *app.ShadowStatus {
	r.t.Helper()
	await(r.t, "state "+state, func() (bool, string) {
		s := r.report().Trial
		return s.State == state, fmt.Sprintf("%+v", s)
	})
	return r.report().Trial
}

// settled waits until the router has settled all that was sent.
func (r *trial) settled() {
	r.t.Helper()
	await(r.t, "all messages to be settled", func() (bool, string) {
		n := uint64(0)
		for _, of := range r.Status().Routes[0].Settled {
			n += of
		}
		return n >= uint64(r.sent), fmt.Sprint(n)
	})
}

// audit reads the queues and fails unless every message is there once, each queue
// in order. It returns how many each queue had.
func (r *trial) audit(queues ...string) map[string]int {
	r.t.Helper()
	seen, counts := make([]int, r.sent), map[string]int{}
	for _, queue := range queues {
		last := -1
		for {
			d, ok, err := r.ch.Get(queue, true)
			if err != nil {
				r.t.Fatal(err)
			}
			if !ok {
				break
			}
			var n int
			if _, err := fmt.Sscan(d.MessageId, &n); err != nil || n >= r.sent {
				r.t.Fatalf("message %q arrives", d.MessageId)
			}
			if n <= last {
				r.t.Errorf("%s: %d arrives after %d", queue, n, last)
			}
			last = n
			seen[n]++
			counts[queue]++
		}
	}
	lost, twice := 0, 0
	for _, n := range seen {
		if n == 0 {
			lost++
		} else if n > 1 {
			twice++
		}
	}
	if lost+twice > 0 {
		r.t.Errorf("of %d messages %d are lost and %d duplicated", r.sent, lost, twice)
	}
	r.t.Logf("%d messages: %d lost, %d duplicated; %v", r.sent, lost, twice, counts)
	return counts
}

// A good version goes from shadow over a share to all messages by its rule, under
// load; the file as it is, read again, keeps it in use.
func TestAGoodVersionIsPromotedUnderLoad(t *testing.T) {
	r := startTrial(t, sameKeys+"promote_after = 300\nshare = 50\nmax_latency = \"1m\"\n")
	for r.report().Trial.State != shadow.Promoted.String() {
		r.publish(100)
		if r.sent > 100_000 {
			t.Fatalf("not promoted: %+v", r.report().Trial)
		}
	}
	r.mustReload(trialRouter(r.address, sameKeys+"promote_after = 300\nshare = 50\nmax_latency = \"1m\"\n"))
	r.publish(500)
	r.settled()
	s := r.in("promoted")
	if s.Differences != 0 || s.Served < 300+500 || s.Compared < 300 || !strings.Contains(s.Advice, `path = "stock:content-router"`) {
		t.Errorf("%+v", s)
	}
	if counts := r.audit("out", "new", "wrong", "in.dead"); counts["out"] != r.sent {
		t.Errorf("%v", counts)
	}
	if !strings.Contains(r.log.String(), "a filter goes on with its promoted version") {
		t.Error("the log does not say that the file lacks the promoted version")
	}
}

// Promoting and rolling back again and again, by command and under load, loses
// nothing, sends nothing twice, and keeps the order.
func TestSwapsUnderLoad(t *testing.T) {
	r := startTrial(t, newKeys+"share = 50\n")
	for range 40 {
		r.publish(50)
		if r.Promote("f") != nil {
			if err := r.Rollback("f"); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "some messages to be settled", func() (bool, string) {
			n := r.Status().Routes[0].Settled["forward"]
			return n+100 >= uint64(r.sent), fmt.Sprint(n)
		})
	}
	r.settled()
	if counts := r.audit("out", "new", "wrong", "in.dead"); counts["out"] == 0 || counts["new"] == 0 || counts["out"]+counts["new"] != r.sent {
		t.Errorf("%v", counts)
	}
}

// Whatever a new version does wrong, no message is touched by it, and it is out
// before it could decide any.
func TestABrokenVersionNeverTouchesTraffic(t *testing.T) {
	for name, tc := range map[string]struct{ keys, reason string }{
		"other targets":   {wrongKeys, "came out differently"},
		"refuses":         {sameKeys + "config = { field = \"body:none\", routes = { x = \"queue:wrong\" } }\n", "came out differently"},
		"traps":           {"path = \"demo:trap\"\n", "trap: "},
		"loops":           {"path = \"demo:loop\"\n", "deadline: "},
		"takes memory":    {"path = \"demo:hungry\"\n", "it failed on a message that the old version took"},
		"recurses":        {"path = \"demo:deep\"\n", "trap: "},
		"other stages":    {"path = \"stock:messagepack\"\nstages = [\"decode\"]\nconfig = { decode = \"msgpack-to-json\" }\n", "came out differently"},
		"is far too slow": {sameKeys + "max_latency = \"1ns\"\n", "took longer than 1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			r := startTrial(t, tc.keys+"promote_after = 100\nshare = 50\n")
			r.publish(1)
			for r.report().Trial.State != shadow.RolledBack.String() {
				r.publish(20)
				r.settled()
				if r.sent > 20_000 {
					t.Fatalf("not caught: %+v", r.report().Trial)
				}
			}
			r.publish(100)
			r.settled()
			s := r.report().Trial
			if s.Served != 0 || !strings.Contains(s.Reason, tc.reason) || name != "is far too slow" && (s.Differences == 0 || len(r.report().Differences) == 0) {
				t.Errorf("%+v", r.report())
			}
			t.Logf("%s after %d messages", s.Reason, s.Compared)
			if counts := r.audit("out", "new", "wrong", "in.dead"); counts["out"] != r.sent {
				t.Errorf("%v", counts)
			}
			if ready, why := r.Ready(); !ready {
				t.Error(why)
			}
		})
	}
}

// A version that breaks once it has traffic is out at once, and the old one has
// the very message that it broke on.
func TestAPromotedVersionThatFailsIsRolledBack(t *testing.T) {
	for _, path := range []string{"demo:trap", "demo:loop", "demo:hungry"} {
		r := startTrial(t, "path = \""+path+"\"\n")
		if err := r.Promote("f"); err != nil {
			t.Fatal(err)
		}
		r.publish(100)
		r.settled()
		if s := r.in("rolled-back"); s.Served != 1 || s.Failures != 1 {
			t.Errorf("%s: %+v", path, s)
		}
		if counts := r.audit("out", "new", "wrong", "in.dead"); counts["out"] != r.sent {
			t.Errorf("%s: %v", path, counts)
		}
		if !strings.Contains(r.log.String(), "the new version of a filter was rolled back") {
			t.Errorf("%s: the log does not say so", path)
		}
		r.stop()
	}
}

// A reload keeps what was promoted as long as it leaves both versions as they are,
// and else goes by the file.
func TestWhatAReloadMakesOfAPromotion(t *testing.T) {
	module, _ := filters.Lookup("content-router")
	r := startTrial(t, newKeys)
	write(t, filepath.Join(filepath.Dir(r.path), "own.wasm"), string(module))
	text := trialRouter(r.address, newKeys)
	replace := func(old, new string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("the configuration is without %q", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, tc := range []struct {
		name, text, state, queue string
	}{
		{"nothing", text, "promoted", "new"},
		{"limits", replace("time = \"1m\"", "time = \"59s\""), "promoted", "new"},
		{"a grant", replace("[filters.f]\n", "[filters.f]\ngrants = { clock = true }\n"), "promoted", "new"},
		{"the same module elsewhere", replace("stock:content-router", "own.wasm"), "promoted", "new"},
		{"the rule", replace("[filters.f.shadow]\n", "[filters.f.shadow]\npromote_after = 1000000\n"), "promoted", "new"},
		{"another new version", trialRouter(r.address, wrongKeys), "shadow", "out"},
		{"another old version", replace("x = \"queue:out\"", "x = \"queue:out\", y = \"queue:out\""), "shadow", "out"},
		{"it is written down", replace(text[strings.Index(text, "[filters.f]"):strings.Index(text, "[routes.r]")], "[filters.f]\n"+newKeys), "", "new"},
		{"it is given up", replace("[filters.f.shadow]\n"+newKeys, ""), "", "out"},
	} {
		r.mustReload(replace("[filters.f]", "[filters.f] # from the start for "+tc.name))
		if r.report().Trial.State != "promoted" {
			if err := r.Promote("f"); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
		}
		r.mustReload(tc.text)
		state := ""
		if report, err := r.Shadow("f"); err == nil {
			state = report.Trial.State
		} else if !errors.Is(err, app.ErrNoShadow) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if state != tc.state {
			t.Errorf("%s: the state is %q, want %q", tc.name, state, tc.state)
		}
		r.publish(1)
		await(t, "the message to arrive in "+tc.queue, func() (bool, string) {
			d, ok, err := r.ch.Get(tc.queue, true)
			return ok && err == nil && d.MessageId == fmt.Sprint(r.sent-1), fmt.Sprint(ok, err)
		})
		r.mustReload(trialRouter(r.address, wrongKeys)) // whatever was promoted is not any more
	}
}

// A new version that is not to be loaded changes nothing, and the error says
// where it is.
func TestAShadowThatCannotBeLoaded(t *testing.T) {
	r := startTrial(t, newKeys)
	if err := r.Promote("f"); err != nil {
		t.Fatal(err)
	}
	for keys, want := range map[string]string{
		"path = \"missing.wasm\"\n":                                "filters.f.shadow.path: cannot read \"missing.wasm\"",
		"path = \"stock:none\"\n":                                  "filters.f.shadow.path: there is no built-in filter \"none\"",
		"path = \"stock:messagepack\"\n":                           "filters.f.shadow.config: the filter refuses it",
		newKeys + "stages = [\"pack\"]\n":                          "filters.f.shadow.stages: the module has no pack stage",
		"path = \"stock:deduplicator\"\n":                          "filters.f.grants: ",
		newKeys + "sha256 = \"" + strings.Repeat("0", 64) + "\"\n": "filters.f.shadow.sha256: ",
		sameKeys + "config = { field = 1 }\n":                      "filters.f.shadow.config: the filter refuses it",
	} {
		if err := r.reload(trialRouter(r.address, keys)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", keys, err, want)
		}
		if s := r.report().Trial; s.State != "promoted" {
			t.Errorf("%s: %+v", keys, s)
		}
	}
}

// What differs is in the API, the status and the metrics; content only when the
// file allows it.
func TestWhereDifferencesAreShown(t *testing.T) {
	r := startTrial(t, wrongKeys)
	r.publish(3)
	await(t, "3 differences", func() (bool, string) { return r.report().Trial.Differences == 3, fmt.Sprintf("%+v", r.report().Trial) })
	base := "http://" + r.AdminAddr()
	var status app.Status
	if code := fetch(t, base+"/api/status", &status); code != http.StatusOK || status.Filters[0].Shadow == nil || status.Filters[0].Shadow.Kinds["targets"] != 3 {
		t.Errorf("%d: %+v", code, status.Filters)
	}
	var report app.ShadowReport
	if code := fetch(t, base+"/api/filters/f/shadow", &report); code != http.StatusOK || len(report.Differences) != 3 {
		t.Fatalf("%d: %+v", code, report)
	}
	d := report.Differences[0]
	if d.Body != "" || d.MessageID != "2" || d.Queue != "in" || len(d.Parts) != 1 || d.Parts[0].Old != "queue:out" || d.Parts[0].New != "queue:wrong" {
		t.Errorf("%+v", d)
	}
	resp, err := http.Get(base + "/metrics") //nolint:noctx // the test ends anyway
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`router_filter_shadow_differences_total{filter="f"} 3`, `router_filter_shadow_state{filter="f",state="shadow"} 1`,
		`router_filter_instances_created_total{filter="f/shadow"}`,
	} {
		if !strings.Contains(string(metrics), line) {
			t.Errorf("the metrics are without %s", line)
		}
	}
	r.mustReload(strings.Replace(trialRouter(r.address, wrongKeys), "[admin]\n", "[admin]\nbodies = true\n", 1))
	if d := r.report().Differences[0]; d.Body != `{"type":"x","n":2}` {
		t.Errorf("with bodies: %+v", d)
	}
	if log := r.log.String(); !strings.Contains(log, "treats a message differently") || strings.Contains(log, `\"n\":2`) {
		t.Errorf("the log:\n%s", log)
	}
}
