package wasmhost

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
)

func TestOnlyTheNamedHeadersCross(t *testing.T) {
	f, in := load(t, FilterConfig{Module: cGuest(t, "route_needs")})
	want := Needs{Headers: true, HeaderNames: []string{"priority", "tenant", "type"}}
	if diff := cmp.Diff(want, f.Needs()); diff != "" {
		t.Error(diff)
	}
	env := message("the body stays outside")
	var d router.Decision
	if err := in.Run(t.Context(), router.Decide, env, &d); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(d.Targets, []router.Target{{Kind: router.TargetQueue, Queue: "orders.high"}}) {
		t.Errorf("targets %v", d.Targets)
	}
	// The 12 headers and the body of the message are not there to be copied.
	if g := in.(*Instance).guest; g.bufCap != 1024 {
		t.Errorf("a buffer of %d bytes", g.bufCap)
	}
	d.Reset()
	env.DelHeader("type")
	if err := in.Run(t.Context(), router.Decide, env, &d); err != nil || d.Action != router.Undecided {
		t.Errorf("without one of the headers: %+v, %v", d, err)
	}
}
