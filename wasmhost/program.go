package wasmhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/wasmrouter/router/wasmhost/compile"
)

// program is a compiled module in a runtime of its own: memory limit and names
// are then nobody else's.
type program struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	release  func() // gives the code back
}

func (p program) close() {
	// There is nothing to run and nothing to flush.
	_ = p.runtime.Close(context.Background())
	if p.compiled != nil { // the cache, which outlives the runtime, counts its users
		_ = p.compiled.Close(context.Background())
	}
	p.release()
}

// code is the compiled code of one metered module in memory, which its programs
// share.
type code struct {
	cache wazero.CompilationCache
	users int // protected by Host.mu

	// Holds a token while a program is made: wazero lets others have code that
	// is read from a file before its entry points are there.
	turn chan struct{}
}

// borrow returns the code that goes by a name, or makes cache that code if nobody
// has it. The caller gives it back.
func (h *Host) borrow(name string, cache wazero.CompilationCache) (c *code, giveBack func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.codes[name]
	if !ok {
		c = &code{cache: cache, turn: make(chan struct{}, 1)}
		h.codes[name] = c
	}
	c.users++
	return c, sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if c.users--; c.users == 0 {
			delete(h.codes, name)
			_ = c.cache.Close(context.Background()) // it only forgets
		}
	})
}

// compile returns the program of a metered module.
func (h *Host) compile(ctx context.Context, module []byte, limits Limits) (program, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.life, func() { cancel(context.Cause(h.life)) })()
	if h.store == nil {
		return h.compileHere(ctx, module, limits)
	}
	var p program
	err := h.store.Load(ctx, module, compile.Limits{Time: limits.CompileTime, Memory: limits.CompileMemory}, func(dir string) error {
		cache, err := wazero.NewCompilationCacheWithDir(dir)
		if err != nil {
			return err
		}
		p, err = h.build(dir, cache, module, limits.Memory)
		return err
	})
	if fault, ok := errors.AsType[*compile.ModuleError](err); ok {
		return p, fmt.Errorf("%w: %s", ErrModule, cutText(fault.Error(), 512))
	}
	return p, err
}

// compileHere compiles in this process, under the watch of a clock: the compiler
// cannot be stopped, so one that takes too long is left to finish by itself and
// its result thrown away.
func (h *Host) compileHere(ctx context.Context, module []byte, limits Limits) (program, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limits.CompileTime, fmt.Errorf("%w: compiling takes longer than limits.compile_time (%s)", ErrModule, limits.CompileTime))
	defer cancel()
	type outcome struct {
		program
		err error
	}
	done := make(chan outcome)
	h.work.Go(func() { // Load holds the group open
		sum := sha256.Sum256(module)
		p, err := h.build(string(sum[:]), wazero.NewCompilationCache(), module, limits.Memory)
		select {
		case done <- outcome{p, err}:
		case <-ctx.Done():
			if err == nil {
				p.close()
			}
		}
	})
	select {
	case o := <-done:
		return o.program, o.err
	case <-ctx.Done():
		return program{}, context.Cause(ctx)
	}
}

// build makes a program with the code of that name, which is in cache if it is
// not in memory.
func (h *Host) build(name string, cache wazero.CompilationCache, module []byte, memory int64) (p program, err error) {
	c, release := h.borrow(name, cache)
	p.release = release
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	ctx := context.Background()
	p.runtime = wazero.NewRuntimeWithConfig(ctx, compile.RuntimeConfig().
		WithMemoryLimitPages(uint32(memory/pageSize)).WithCompilationCache(c.cache))
	defer func() {
		if r := recover(); r != nil { // a defect of the compiler must not end the process
			err = fmt.Errorf("%w: the compiler gave up: %v", ErrModule, r)
		}
		if err != nil {
			p.close()
		}
	}()
	if err := instantiateHost(ctx, p.runtime); err != nil {
		return p, err
	}
	if p.compiled, err = p.runtime.CompileModule(ctx, module); err != nil {
		// Names in it are the module's.
		return p, fmt.Errorf("%w: %s", ErrModule, cutText(err.Error(), 512))
	}
	return p, nil
}
