package transport_test

import (
	"testing"

	"github.com/wasmrouter/router/internal/rabbitnode"
)

func TestMain(m *testing.M) { rabbitnode.Main(m) }
