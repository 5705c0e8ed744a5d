package bench_test

import (
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/wasmhost/compile"
)

func TestMain(m *testing.M) {
	compile.Main()
	rabbitnode.Main(m)
}
