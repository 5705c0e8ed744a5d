//go:build !linux

package compile

import (
	"fmt"
	"os"
)

// memoryFull answers that the limit was reached, and ends the process.
func memoryFull() {
	fmt.Fprintf(os.Stdout, "%s %q\n", replyMemory, "")
	os.Exit(0)
}
