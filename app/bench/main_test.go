package bench_test

import (
	"testing"

	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/wasmhost/compile"
)

func TestMain(m *testing.M) {
	compile.Main()
	testbroker.Main(m)
}
