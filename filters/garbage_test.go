package filters_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/wasmrouter/router/router"
)

// A Go filter may allocate: its collector keeps up, although it runs only when
// the SDK lets it. The calls leave far more behind than an instance may have.
func TestGarbageOfGoFiltersIsCollected(t *testing.T) {
	out := filepath.Join(t.TempDir(), "garbage.wasm")
	shell(t, ".", "GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -buildmode=c-shared -buildvcs=false -ldflags='-s -w' -o "+out+" ./sdk/go/filter/testdata/garbage")
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	f, err := loadFilter(t, "garbage", module, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 2<<10)
	for i := range 10000 { // about 200 MiB
		env, d := router.NewEnvelope(nil, body), router.Decision{}
		if err := f.Run(t.Context(), router.Decide, &env, &d); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}
