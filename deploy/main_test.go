// Package deploy_test holds what is shipped beside the program against the program.
package deploy_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/wasmrouter/router/wasmhost/compile"
)

func TestMain(m *testing.M) {
	compile.Main()
	goleak.VerifyTestMain(m)
}
