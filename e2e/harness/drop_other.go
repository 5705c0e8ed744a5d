//go:build !linux

package harness

import (
	"errors"
	"net"
)

// drop needs Linux's socket filters.
func drop(*net.TCPConn, int) error { return errors.ErrUnsupported }
