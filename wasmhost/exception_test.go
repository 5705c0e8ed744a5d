package wasmhost

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/wasmasm"
	"github.com/wasmrouter/router/router"
)

// assemble builds a filter from the notation of package wasmasm, with what every
// filter has around its functions.
func assemble(t testing.TB, text string) []byte {
	t.Helper()
	const frame = `
		import wasi_snapshot_preview1 proc_exit (i32)
		import env abort (i32 i32 i32 i32)
		memory 2
		func router_abi_1
		end
		func router_buffer (i32) -> (i32)
		  i32.const 1024
		end
	`
	wasm, err := wasmasm.Module(frame + text)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// decide is the start of a filter's handler.
const decide = "func router_decide (i32 i32) -> (i64)\n"

func runOnce(t *testing.T, in router.Filter) error {
	t.Helper()
	var d router.Decision
	return in.Run(context.Background(), router.Decide, small(""), &d)
}

// What ends a call cannot be caught by the guest: neither the end of its budget
// nor what it asked for itself.
func TestHandlersDoNotCatchTheEnd(t *testing.T) {
	protected := func(body string) string {
		return `
			tag e
			` + decide + `
			  local exnref
			  loop
			    block exnref
			      try_table | catch_all_ref 0
			        block
			          try_table | catch e 0 | catch_all 0
			            ` + body + `
			          end
			          br 3
			        end
			        br 2
			      end
			      br 1
			    end
			    drop
			    br 0
			  end
			  i64.const 0
			end
			func spin
			  loop
			    br 0
			  end
			end
			func down
			  call down
			end
			`
	}
	for _, c := range []struct {
		name, body string
		limits     Limits
		class      string
		text       string
	}{
		{"time", "call spin", Limits{Time: 20 * time.Millisecond}, ClassDeadline, "time limit exceeded"},
		{"fuel", "call spin", Limits{Fuel: 100_000, Time: time.Minute}, ClassDeadline, "fuel used up in "},
		{"exit", "i32.const 3\ncall proc_exit", Limits{}, ClassExit, "exited with code 3"},
		{"abort", "i32.const 0\ni32.const 0\ni32.const 0\ni32.const 0\ncall abort", Limits{}, ClassTrap, "abort"},
		{"trap", "unreachable", Limits{}, ClassTrap, "unreachable"},
		{"recursion", "call down", Limits{Time: time.Minute}, ClassTrap, "stack overflow"},
		{"throw", "throw e", Limits{Time: time.Minute, Fuel: 1_000_000}, ClassDeadline, "fuel used up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, in := load(t, FilterConfig{Module: assemble(t, protected(c.body)), Limits: c.limits})
			err := runOnce(t, in)
			if classOf(t, err) != c.class || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %s with %q", err, c.class, c.text)
			}
			if err := runOnce(t, in); classOf(t, err) != c.class {
				t.Errorf("the next message: %v", err)
			}
		})
	}
}

func TestUncaughtException(t *testing.T) {
	_, in := load(t, FilterConfig{Module: assemble(t, `
		tag e (i32)
		`+decide+`
		  call inner
		  i64.const 0
		end
		func inner
		  i32.const 5
		  throw e
		end`)})
	err := runOnce(t, in)
	if classOf(t, err) != ClassTrap || !strings.Contains(err.Error(), "uncaught exception in ") {
		t.Error(err)
	}
}

// Nothing but the host knows that a guest still has a reference to an exception.
func TestReferencesKeepExceptionsAlive(t *testing.T) {
	module := assemble(t, `
		tag e (i32)
		tag other (i64)
		`+decide+`
		  local exnref i32 i32
		  block exnref
		    try_table | catch_all_ref 0
		      i32.const 33
		      throw e
		    end
		    unreachable
		  end
		  local.set 2
		  loop   ;; many others, whose memory is reused
		    block i64
		      try_table | catch other 0
		        i64.const -1
		        throw other
		      end
		      unreachable
		    end
		    drop
		    local.get 3
		    i32.const 1
		    i32.add
		    local.tee 3
		    i32.const 4000
		    i32.lt_u
		    br_if 0
		  end
		  block i32
		    try_table | catch e 0
		      local.get 2
		      throw_ref
		    end
		    unreachable
		  end
		  i32.const 33
		  i32.ne
		  if
		    unreachable
		  end
		  i64.const 0
		end`)
	_, in := load(t, FilterConfig{Module: module, Limits: Limits{Time: time.Minute}})
	stop := make(chan struct{})
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	for range 5 {
		if err := runOnce(t, in); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-collected
	if n := len(in.(*Instance).guest.exceptions.thrown); n != 0 {
		t.Errorf("%d exceptions are kept after the call", n)
	}
}

// A handler takes a copy of the stack with it, so handlers all the way down a
// recursion would take the square of its depth.
func TestHandlersHoldABoundedStack(t *testing.T) {
	_, in := load(t, FilterConfig{Limits: Limits{Time: time.Minute}, Module: assemble(t, `
		tag e
		`+decide+`
		  call down
		  i64.const 0
		end
		func down
		  block
		    try_table | catch_all 0
		      call down
		    end
		  end
		end`)})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := runOnce(t, in)
	runtime.ReadMemStats(&after)
	if classOf(t, err) != ClassTrap || !strings.Contains(err.Error(), "too many exception handlers") {
		t.Error(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4*maxCopies {
		t.Errorf("%d MiB allocated", used>>20)
	}
}

// The copies that a call held stay with the function that was called, unless
// that is replaced.
func TestCopiesOfTheStackAreGivenBack(t *testing.T) {
	_, in := load(t, FilterConfig{Limits: Limits{Time: time.Minute}, Module: assemble(t, `
		tag e
		`+decide+`
		  i32.const 60
		  call down
		  i64.const 0
		end
		func down (i32)
		  block
		    try_table | catch_all 0
		      local.get 0
		      if
		        local.get 0
		        i32.const 1
		        i32.sub
		        call down
		      end
		      throw e
		    end
		  end
		end`)})
	g := in.(*Instance).guest
	before := g.handlers[router.Decide].Function
	for range 3 {
		if err := runOnce(t, in); err != nil {
			t.Fatal(err)
		}
		if g.handlers[router.Decide].Function == before {
			t.Error("the function was not replaced")
		}
		before = g.handlers[router.Decide].Function
	}
}

func TestExceptionsOfACallAreBounded(t *testing.T) {
	_, in := load(t, FilterConfig{Limits: Limits{Time: time.Minute}, Module: assemble(t, `
		tag e
		`+decide+`
		  loop
		    block exnref
		      try_table | catch_all_ref 0
		        throw e
		      end
		      unreachable
		    end
		    drop
		    br 0
		  end
		  unreachable
		end`)})
	if err := runOnce(t, in); classOf(t, err) != ClassMemory || !strings.Contains(err.Error(), "too many exceptions in one call") {
		t.Error(err)
	}
}

func TestStartFunctionMayThrow(t *testing.T) {
	module := assemble(t, `
		tag e
		func f
		  block
		    try_table | catch_all 0
		      throw e
		    end
		  end
		end
		start f
		`+decide+`
		  i64.const 0
		end`)
	if _, in := load(t, FilterConfig{Module: module}); runOnce(t, in) != nil {
		t.Error("it does not work afterwards")
	}
}

// Calls that never return and never go round a loop.
func TestEndlessTailCallsAreStopped(t *testing.T) {
	for name, body := range map[string]string{
		"direct": `
			func ping (i32)
			  local.get 0
			  return_call pong
			end
			func pong (i32)
			  local.get 0
			  return_call ping
			end`,
		"indirect": `
			table 1 ping
			func ping (i32)
			  local.get 0
			  i32.const 0
			  return_call_indirect (i32)
			end`,
		"from a handler": `
			tag e
			func ping (i32)
			  block
			    try_table | catch_all 0
			      throw e
			    end
			  end
			  local.get 0
			  return_call ping
			end`,
	} {
		module := assemble(t, body+"\n"+decide+`
		  local.get 0
		  call ping
		  i64.const 0
		end`)
		for _, limits := range []Limits{{Time: 10 * time.Millisecond}, {Time: time.Minute, Fuel: 100_000}} {
			_, in := load(t, FilterConfig{Module: module, Limits: limits})
			if err := runOnce(t, in); classOf(t, err) != ClassDeadline {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What a handler catches is a table beside the machine code, which must come
// along from another process and from the disk.
func TestExceptionsOfCompiledCode(t *testing.T) {
	module := assemble(t, throwingFilter)
	for name, cfg := range configs(t) {
		t.Run(name, func(t *testing.T) {
			for range 2 { // compiled, and found if it is kept
				f, err := newHost(t, cfg).Load(context.Background(), FilterConfig{Name: "test", Module: module})
				if err != nil {
					t.Fatal(err)
				}
				in, err := f.Instance(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				if err := runOnce(t, in); err != nil {
					t.Error(err)
				}
				in.Close()
			}
		})
	}
}
