package conformance_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/wasmhost"
)

func port() conformance.Host {
	return host.Port(wasmhost.Limits{Time: time.Second, StartTime: time.Minute})
}

// routerReport is what the kit finds of the router.
var routerReport = sync.OnceValue(func() conformance.Report { return conformance.CheckHost(context.Background(), port()) })

func TestTheRouterConforms(t *testing.T) { passes(t, routerReport()) }

// The kit's own filters are what their sources say.
func TestHostFiltersAreBuiltFromTheirSources(t *testing.T) {
	sources, err := filepath.Glob("host/*.wat")
	if err != nil || len(sources) != 5 {
		t.Fatalf("%d sources, %v", len(sources), err)
	}
	for _, source := range sources {
		want := built(t, "wat2wasm -o $OUT "+source)
		have, err := os.ReadFile(strings.TrimSuffix(source, ".wat") + ".wasm")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, have) {
			t.Errorf("%s: build it again: wat2wasm -o %s %s", source, strings.TrimSuffix(source, ".wat")+".wasm", source)
		}
	}
}
