package rabbitnode

import (
	"fmt"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/testkit"
)

func TestAPolicyMakesAQueueRefuse(t *testing.T) {
	n := Shared(t)
	queue := Queue(t, "a.b")
	_, ch := dial(t, n, queue)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	await := func(what string, want bool) {
		t.Helper()
		testkit.Await(t, time.Minute, what, func() (bool, string) {
			dc, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp091.Publishing{})
			if err != nil {
				t.Fatal(err)
			}
			ok, err := dc.WaitContext(t.Context())
			return err == nil && ok == want, fmt.Sprint(ok, err)
		})
	}
	if err := n.SetPolicy(t.Context(), queue, map[string]any{"max-length": 0, "overflow": "reject-publish"}); err != nil {
		t.Fatal(err)
	}
	await("a refusal", false)
	if err := n.ClearPolicy(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	await("a confirm", true)
}
