package matrix

import (
	"testing"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// TestF22HostsDown has two hosts of one broker: both down when the router starts, one
// down when it starts, the one in use lost, and both down for a while under load.
func TestF22HostsDown(t *testing.T) {
	t.Parallel()
	n := rabbitnode.Shared(t)
	tr := begin(t, n, 8_000, single)
	first, second := harness.NewProxy(t, n.Addr()), harness.NewProxy(t, n.Addr())
	up := func(one, two bool) {
		first.Up(one)
		second.Up(two)
	}
	down := func() {
		up(false, false)
		for _, p := range []*harness.Proxy{first, second} {
			tr.Router.AwaitUnready("connect to " + p.Addr())
		}
		awaitConnections(tr, 0)
		time.Sleep(lasting)
	}
	text := harness.Chain(tr.Route, tr.In, tr.Out, byKey...)

	tr.Struck("all hosts down at the start")
	up(false, false)
	tr.Launch(first.URL()+","+second.URL(), text)
	down()
	second.Up(true)
	tr.Recovered()
	tr.Router.AwaitReady()

	tr.Until(tr.Load.Count / 4)
	tr.Struck("the host in use lost")
	up(true, false)
	tr.Recovered()

	tr.Until(tr.Load.Count / 2)
	tr.Struck("all hosts down")
	down()
	up(true, true)
	tr.Recovered()

	tr.Until(tr.Load.Count * 3 / 4)
	tr.Struck("router started with the first host down")
	tr.Router.Terminate()
	first.Up(false)
	tr.Restart(time.Now())
	tr.End()
}
