package app

import (
	"testing"

	"github.com/wasmrouter/router/router"
)

// A caller names the queue of its reply, and may name any.
func TestRepliesOfOsloRoutesGoToNoQueueOfTheConfiguration(t *testing.T) {
	allow, err := router.NewAllow([]string{"queue:orders.*", "queue:answers"})
	if err != nil {
		t.Fatal(err)
	}
	permits := replyPermits([]string{"orders.in", "orders.in.dead", "reply_own"}, allow)
	for queue, want := range map[string]bool{
		"reply_1": true, "answers": true, "orders.other": true,
		"orders.in": false, "orders.in.dead": false, "reply_own": false, "amq.gen-1": false, "amq.rabbitmq.reply-to.x": false, "elsewhere": false, "": false,
	} {
		if got := permits(queue); got != want {
			t.Errorf("replies to %q: %t", queue, got)
		}
	}
}
