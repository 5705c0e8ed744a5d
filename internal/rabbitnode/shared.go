package rabbitnode

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/goleak"
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

// Main runs a package's tests, stops the node that Shared started, and then
// fails the run if goroutines are left. Use it as
//
//	func TestMain(m *testing.M) { rabbitnode.Main(m) }
func Main(m interface{ Run() int }) {
	os.Exit(runMain(m))
}

func runMain(m interface{ Run() int }) int {
	shared.Lock()
	shared.owned = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	if shared.node != nil {
		shared.node.Stop()
	}
	shared.node, shared.err, shared.owned = nil, nil, false
	shared.Unlock()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left after the tests:", err)
		return 1
	}
	return 0
}

// Shared returns the node that all tests of this process share; the first call
// starts it. Tests keep apart by the names of their queues, see Queue; a test
// that stops or fills the broker starts its own node.
func Shared(tb TB) *Node {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.owned {
		tb.Fatalf("rabbitnode.Shared needs a TestMain that calls rabbitnode.Main, which stops the node")
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
