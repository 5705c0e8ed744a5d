package rpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasmrouter/router/router"
)

// Exchange is one exchange to declare, in the words of the ports.
type Exchange = router.Exchange

// Queue is one queue to declare.
type Queue = router.Queue

// Binding ties a queue to an exchange.
type Binding = router.Binding

// Topology is what must exist at the broker.
type Topology = router.Topology

// Declare declares t at the broker, connecting if need be, until ctx ends. It
// is safe for concurrent use and called often; what exists already is no
// error as long as it is the same, or marked as shared.
type Declare func(ctx context.Context, t Topology) error

var errNoDeclare = errors.New("no Declare was given")

// Ensure declares what the sources need, but for numbered ones, and says what
// is wrong with it. Whoever listens to them declares it by itself; Ensure is
// for those who want to know that it is there before they go on.
func Ensure(ctx context.Context, d Declare, sources []router.Source) error {
	if d == nil {
		return fmt.Errorf("declare: %w", errNoDeclare)
	}
	var t Topology
	for _, s := range sources {
		if !s.Numbered {
			t = t.Join(s.Topology)
		}
	}
	if t.Empty() {
		return nil
	}
	return d(ctx, t)
}
