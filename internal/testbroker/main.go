package testbroker

import (
	"os"

	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testkit"
)

// Main runs a package's tests, stops the node that [rabbitnode.Shared] started, and
// ends the process: it fails the run if goroutines are left. Use it as
//
//	func TestMain(m *testing.M) { testbroker.Main(m) }
func Main(m interface{ Run() int }) {
	stop := rabbitnode.Share()
	code := m.Run()
	stop()
	os.Exit(testkit.Leakless(code))
}
