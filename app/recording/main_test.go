package recording

import (
	"os"
	"testing"

	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/wasmhost/compile"
)

func TestMain(m *testing.M) {
	compile.Main()
	os.Exit(testkit.Run(m))
}
