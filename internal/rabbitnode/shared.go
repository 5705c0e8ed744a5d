package rabbitnode

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// TB is the part of testing.TB that this package uses; naming it here keeps the
// testing package out of programs that start a node.
type TB interface {
	Helper()
	Name() string
	Fatalf(format string, args ...any)
}

// shared is the node of this test process. Its lock is held while the node
// starts, so that tests that run in parallel wait for one start.
var shared struct {
	sync.Mutex // protects the fields below
	owned      bool
	node       *Node
	err        error
}

// Share lets Shared start a node, until the function that it returns is called: that
// stops the node. A TestMain calls it, by testbroker.Main.
func Share() (stop func()) {
	shared.Lock()
	defer shared.Unlock()
	shared.owned = true
	return func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.node != nil {
			shared.node.Stop()
		}
		shared.node, shared.err, shared.owned = nil, nil, false
	}
}

// Shared returns the node that all tests of this process share; the first call
// starts it. Tests keep apart by the names of their queues, see Queue; a test
// that stops or fills the broker starts its own node.
func Shared(tb TB) *Node {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.owned {
		tb.Fatalf("rabbitnode.Shared needs a TestMain that calls testbroker.Main, which stops the node")
	}
	if shared.node == nil && shared.err == nil {
		shared.node, shared.err = Start(context.Background(), Config{})
	}
	if shared.err != nil {
		tb.Fatalf("start the shared RabbitMQ node: %v", shared.err)
	}
	return shared.node
}

var queues atomic.Int64

// Queue returns a name that no other test uses, made of the test's name, the
// given parts and a random end. It fits a routing key and may be used for any
// broker object.
func Queue(tb TB, name ...string) string {
	tb.Helper()
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '/':
			return '.'
		case r > ' ' && r < 0x7f && r != '*' && r != '#' && r != '"':
			return r
		}
		return '_'
	}, strings.Join(append([]string{tb.Name()}, name...), "."))
	if len(clean) > 150 {
		clean = clean[:150]
	}
	return fmt.Sprintf("%s.%d.%.6s", clean, queues.Add(1), strings.ToLower(rand.Text()))
}
