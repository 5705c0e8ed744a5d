package compile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// compiler is the command of a compiler process.
type compiler []string

// run has a module compiled into dir, which must be empty, and waits for the
// process to end, whatever happens.
func (c compiler) run(ctx context.Context, dir string, module []byte, l Limits) error {
	allowed := slowdown * l.Time
	clock, cancel := context.WithTimeout(ctx, allowed)
	defer cancel()
	cmd := exec.CommandContext(clock, c[0], c[1:]...)
	cmd.Args = append(cmd.Args, versionName(), strconv.FormatInt(l.Memory, 10), strconv.FormatInt(seconds(allowed), 10))
	cmd.Dir = dir
	cmd.Env = environment()
	cmd.SysProcAttr = attributes()
	var out, complaint head
	cmd.Stdout, cmd.Stderr = &out, &complaint
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("the compiler cannot be started: %w", err)
	}
	// Where the child dies with its parent, it dies with the parent's thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("the compiler, a process of its own, cannot be started: %w; allow the router to start one", err)
	}
	var feed sync.WaitGroup
	feed.Go(func() { // a child that ends, and Wait, end the writing
		if _, err := in.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(module)))); err == nil {
			_, _ = in.Write(module)
		}
	})
	err = cmd.Wait()
	feed.Wait()
	switch {
	case err == nil:
		return verdict(dir, out.String(), l)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case clock.Err() != nil:
		return tooLong(l)
	}
	return post(cmd.ProcessState, complaint.String(), err, l)
}

// environment is what a child inherits: of the router's variables only those
// that change Go's runtime, which has a say in the code's name. The message of a
// crash is worth more than its stack.
func environment() []string {
	env := []string{"GOMAXPROCS=" + strconv.Itoa(processors), "GOTRACEBACK=none"}
	for _, name := range []string{"GODEBUG", "GORACE"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// verdict reads a child's answer.
func verdict(dir, answer string, l Limits) error {
	kind, quoted, _ := strings.Cut(strings.TrimSuffix(answer, "\n"), " ")
	if text, err := strconv.Unquote(quoted); err == nil {
		switch kind {
		case replyDone:
			return nil
		case replyModule:
			return &ModuleError{text}
		case replyMemory:
			return tooMuch(l)
		case replyTime:
			return tooLong(l)
		case replyStore:
			return &storeError{dir, errors.New(text)}
		case replyOther:
			return errors.New(text)
		}
	}
	return fmt.Errorf("the compiler answers %.80q: the command that is to be started is none", answer)
}

// post says why a child ended before it could answer.
func post(state *os.ProcessState, complaint string, err error, l Limits) error {
	switch {
	case outOfMemory(complaint):
		return tooMuch(l)
	case timeUp(state):
		return tooLong(l)
	case killed(state):
		return errors.New("the compiler was killed: if nobody did, the machine or the router's control group ran out of memory; give it more, or lower limits.compile_memory")
	case complaint == "":
		return moduleError("the compiler crashed: %v; build the module differently, and report this", err)
	}
	return moduleError("the compiler crashed: %s; build the module differently, and report this", telling(complaint))
}

func tooLong(l Limits) error {
	return moduleError("compiling takes longer than limits.compile_time (%s); raise it, or split the module's largest functions", l.Time)
}

func tooMuch(l Limits) error {
	return moduleError("compiling takes more than limits.compile_memory (%s); raise it, or split the module's largest functions", bytesText(l.Memory))
}

func bytesText(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// telling picks the line of a complaint that says why: one that Go's runtime
// begins with, otherwise the last.
func telling(complaint string) string {
	last := ""
	for line := range strings.Lines(complaint) {
		line = strings.TrimSpace(line)
		for _, start := range []string{"fatal error: ", "panic: ", "runtime: ", "runtime/cgo: ", "SIG"} {
			if strings.HasPrefix(line, start) {
				return line
			}
		}
		if line != "" {
			last = line
		}
	}
	return last
}

// head keeps the beginning of what is written to it.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	if room := 8<<10 - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
