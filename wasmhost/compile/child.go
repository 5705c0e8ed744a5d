package compile

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What a child answers with, before a space and a quoted text.
const (
	replyDone   = "done"   // the code is in its place
	replyModule = "module" // the compiler refuses the module
	replyMemory = "memory" // the limit was reached, and noticed
	replyTime   = "time"   // that of processor time
	replyStore  = "store"  // the directory cannot be written
	replyOther  = "other"
)

// child is the compiler process: it limits itself, reads a module from in and
// compiles it into the working directory. In args are the name of the
// directories that the parent can read, bytes of memory and seconds of processor
// time. An error means that there was nobody to answer to.
//
// The parent writes the module's length, 8 bytes with the lowest first, and the
// module, and keeps the pipe open: when it closes, the parent is gone and so is
// the child.
func child(in io.Reader, out io.Writer, args []string) error {
	if len(args) != 3 {
		return errors.New("the router runs this to compile filters; it is of no use by hand")
	}
	end := make(chan error, 1)
	go func() { end <- serve(in, args) }() // the process ends with its end, or before
	var kind, text string
	select {
	case err := <-end:
		kind, text = answer(err)
	case <-processorTime():
		kind = replyTime
	}
	_, err := fmt.Fprintf(out, "%s %q\n", kind, text)
	return err
}

func serve(in io.Reader, args []string) error {
	if args[0] != versionName() {
		return &otherError{fmt.Errorf("the program that compiles is another version (%s) than the one that runs (%s): restart the router", versionName(), args[0])}
	}
	memory, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return &otherError{err}
	}
	seconds, err := strconv.ParseUint(args[2], 10, 32)
	if err != nil {
		return &otherError{err}
	}
	if err := confine(memory, seconds); err != nil {
		return &otherError{fmt.Errorf("the compiler cannot limit itself: %w", err)}
	}
	// Collect garbage more often rather than reach the limit because of it.
	debug.SetMemoryLimit(memory - memory/8)

	var length [8]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return &otherError{err}
	}
	size := binary.LittleEndian.Uint64(length[:])
	if size > uint64(memory) {
		return errMemory
	}
	module := make([]byte, size)
	if _, err := io.ReadFull(in, module); err != nil {
		return &otherError{err}
	}
	go func() { // it lives as long as the process
		_, _ = in.Read(length[:1])
		os.Exit(1)
	}()
	if err := into(context.Background(), ".", module); err != nil {
		return err
	}
	return seal(".")
}

var errMemory = errors.New("too little memory")

// otherError is one that says nothing about the module.
type otherError struct{ err error }

func (e *otherError) Error() string { return e.err.Error() }
func (e *otherError) Unwrap() error { return e.err }

// answer returns what to tell the parent of an error.
func answer(err error) (kind, text string) {
	var other *otherError
	var store *storeError
	var path *fs.PathError
	switch {
	case err == nil:
		return replyDone, ""
	case errors.As(err, &other):
		return replyOther, other.Error()
	case errors.Is(err, errMemory), outOfMemory(err.Error()):
		return replyMemory, ""
	case errors.As(err, &store):
		return replyStore, store.err.Error()
	case errors.As(err, &path), errors.Is(err, syscall.ENOSPC):
		return replyStore, err.Error()
	}
	return replyModule, err.Error()
}

// outOfMemory reports whether that is what a text complains about: Go's runtime,
// the C library's threads, which want stacks, the race detector and the system
// all say it in words only.
func outOfMemory(text string) bool {
	for _, s := range []string{"out of memory", "cannot allocate", "pthread_create failed", "failed to allocate", "address space collisions"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// seconds rounds up, since systems count processor time in full ones.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
