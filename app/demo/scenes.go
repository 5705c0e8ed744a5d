package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wasmrouter/router/router"
)

// scene is one message and where it must arrive.
type scene struct {
	kind   string // what the message shows
	queue  string // where it is sent
	body   string
	reply  bool
	why    string
	ends   []string
	reason string // of the dead letter
}

var scenes = []scene{
	{
		kind: "cast", queue: "orders", body: `{"type":"created","id":1001,"card":"4111 1111 1111 1111"}`,
		why: "by_type: type is created", ends: []string{"orders.created"},
	},
	{
		kind: "call", queue: "orders", body: `{"type":"question","text":"where is order 1001?"}`, reply: true,
		why: "by_type: type is question; the service answered the caller directly", ends: []string{"replies"},
	},
	{
		kind: "fanout", queue: "orders", body: `{"type":"alert","text":"stock is low"}`,
		why: "by_type: type is alert, to everybody who listens", ends: []string{"alerts.mail", "alerts.pager"},
	},
	{
		kind: "notification", queue: "orders", body: `{"type":"report","orders":17}`,
		why: "by_type: type is report", ends: []string{"notifications.info"},
	},
	{
		kind: "serializer", queue: "readings", body: `{"sensor":"t1","values":[20.5,21,21.25]}`,
		why: "pack: JSON in, MessagePack out; the route names its target", ends: []string{"readings.packed"},
	},
	{
		kind: "unroutable", queue: "orders", body: `{"type":"lost","id":1002}`,
		why: "by_type chose a queue that does not exist; the broker returned it", ends: []string{"dead"}, reason: router.ReasonUnroutable,
	},
	{
		kind: "poison", queue: "orders", body: `{"type": oops`,
		why: "the body is not JSON", ends: []string{"dead"}, reason: "filter-error",
	},
	{
		kind: "runaway filter", queue: "runaway", body: `{"any":"thing"}`,
		why: "endless loops for ever; it was stopped and thrown away, the process lives", ends: []string{"dead"}, reason: "filter-deadline",
	},
}

var errInterrupted = errors.New("interrupted")

// play sends a scene's message, waits for its arrivals and prints them.
func (w *world) play(ctx context.Context, p *printer, n int, s scene) error {
	env := router.NewEnvelope(map[string]any{"x-customer": "acme"}, []byte(s.body))
	env.MessageID = fmt.Sprintf("demo-%d", n)
	env.ContentType = "application/json"
	env.DeliveryMode = 2
	if s.reply {
		env.ReplyTo, env.CorrelationID = w.prefix+".replies", "question-1"
	}
	p.sent(n, s, env)
	sent := time.Now()
	confirmed := make(chan error, 1)
	to := router.Target{Kind: router.TargetQueue, Queue: w.prefix + "." + s.queue}
	if err := w.sender.Send(ctx, to, &env, receipt(func(err error) { confirmed <- err })); err != nil {
		return err
	}
	select {
	case err := <-confirmed:
		if err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
	case <-ctx.Done():
		return errInterrupted
	}
	missing := make(map[string]bool)
	for _, end := range s.ends {
		missing[end] = true
	}
	timeout := time.After(arrivalTimeout)
	for len(missing) > 0 {
		select {
		case a := <-w.arrivals:
			if a.env.MessageID != env.MessageID || !missing[a.queue] {
				return fmt.Errorf("message %d: %q arrived in %s, which it should not have", n, a.env.MessageID, a.queue)
			}
			delete(missing, a.queue)
			p.arrived(env, a, a.at.Sub(sent))
			if got, _ := a.env.Header(router.HeaderReason); a.queue == "dead" && got != s.reason {
				return fmt.Errorf("message %d: dead letter for the reason %v; %s was to be expected", n, got, s.reason)
			}
		case <-timeout:
			return fmt.Errorf("message %d did not arrive in %v within %v", n, slices.Sorted(maps.Keys(missing)), arrivalTimeout)
		case <-ctx.Done():
			return errInterrupted
		}
	}
	p.why(s)
	return nil
}

// changes lists what the router's filters did to a message, in words.
func changes(before, after router.Envelope) []string {
	var list []string
	old, now := before.Headers(), after.Headers()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, had := old[name]; !had && !isRouterHeader(name) {
			list = append(list, fmt.Sprintf("header %s = %v", name, now[name]))
		}
	}
	if before.ContentType != after.ContentType {
		list = append(list, fmt.Sprintf("content type %s", after.ContentType))
	}
	if !slices.Equal(before.Body, after.Body) {
		list = append(list, "body "+show(after.Body))
	}
	return list
}

func isRouterHeader(name string) bool {
	return len(name) > len(router.HeaderPrefix) && name[:len(router.HeaderPrefix)] == router.HeaderPrefix
}

// show prints a body: text as it is, bytes in hexadecimal.
func show(body []byte) string {
	if json.Valid(body) {
		return string(body)
	}
	for _, c := range body {
		if c < 0x20 || c >= 0x7f {
			return fmt.Sprintf("%d bytes: % x", len(body), body)
		}
	}
	return string(body)
}
