package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sync/singleflight"
)

// Host compiles and runs filters. It is safe for concurrent use.
type Host struct {
	logger  *slog.Logger
	timeout time.Duration // of one compilation
	crowd   crowd
	cache   wazero.CompilationCache
	onDisk  bool

	compiles singleflight.Group // by content, so that a module is compiled once
	work     sync.WaitGroup     // loads, and compilations that were given up

	mu      sync.Mutex // protects what follows
	closed  bool
	filters map[*Filter]struct{}
}

// New returns a host. It fails when this platform has no compiler: interpreted
// filters would be some sixty times slower, which nobody should find out by
// accident.
func New(_ context.Context, cfg Config) (_ *Host, err error) {
	if err := compilerWorks(); err != nil {
		return nil, err
	}
	h := &Host{logger: cfg.Logger, timeout: cfg.CompileTimeout, crowd: newCrowd(), filters: make(map[*Filter]struct{})}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.timeout <= 0 {
		h.timeout = time.Minute
	}
	if cfg.CacheDir == "" {
		h.cache = wazero.NewCompilationCache()
		return h, nil
	}
	dir, err := prepareCache(cfg.CacheDir)
	if err != nil {
		return nil, err
	}
	if h.cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
		return nil, fmt.Errorf("compilation cache %s: %w", dir, err)
	}
	h.onDisk = true
	return h, nil
}

// compilerWorks tries the compiler: wazero reports an unsupported platform by a
// panic, and a kernel that forbids executable memory shows it only then.
func compilerWorks() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("WebAssembly cannot be compiled here: %v; the processor must be amd64 with SSE4.1 or arm64, and executable memory must be allowed (systemd: MemoryDenyWriteExecute=no)", r)
		}
	}()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	// The smallest module with a function: type, function and code section.
	_, err = r.CompileModule(ctx, []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x04\x01\x02\x00\x0b"))
	return err
}

// Close closes the filters that are still open, waits for them and for those
// that are being loaded, at most until ctx ends, and frees the compiled code. It may be
// called again.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	open := make([]*Filter, 0, len(h.filters))
	for f := range h.filters {
		open = append(open, f)
	}
	h.mu.Unlock()

	var errs []error
	for _, f := range open {
		errs = append(errs, f.Close(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { // ends with the loads and compilations, which end by themselves
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("a filter is still being loaded: %w", ctx.Err())
	}
	return h.cache.Close(ctx)
}

// program is a compiled module in a runtime of its own: memory limit and names
// are then nobody else's.
type program struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

func (p program) close() {
	// There is nothing to run and nothing to flush.
	_ = p.runtime.Close(context.Background())
	if p.compiled != nil { // the cache, which outlives the runtime, counts its users
		_ = p.compiled.Close(context.Background())
	}
}

// compile compiles a metered module. Callers with the same module wait for the
// first and then find its result in the cache.
func (h *Host) compile(ctx context.Context, key string, module []byte, memory int64) (program, error) {
	var p program
	first := false
	_, err, _ := h.compiles.Do(key, func() (any, error) {
		first = true
		var err error
		p, err = h.compileNow(ctx, module, memory)
		return nil, err
	})
	if first {
		return p, err
	}
	return h.compileNow(ctx, module, memory)
}

// compileNow compiles under the watch of a clock: the compiler cannot be
// stopped, so one that takes too long is left to finish by itself and its
// result thrown away.
func (h *Host) compileNow(ctx context.Context, module []byte, memory int64) (program, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.timeout, fmt.Errorf("%w: it takes longer than %s to compile", ErrModule, h.timeout))
	defer cancel()
	type outcome struct {
		program
		err error
	}
	done := make(chan outcome)
	h.work.Go(func() { // Load holds the group open
		p, err := h.build(module, memory)
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

// build compiles with the disk cache, and without it when that fails: a full disk
// or a damaged file is no reason not to start.
func (h *Host) build(module []byte, memory int64) (program, error) {
	p, err := buildProgram(h.cache, module, memory)
	if err == nil || !h.onDisk {
		return p, err
	}
	p, again := buildProgram(nil, module, memory)
	if again != nil {
		return p, again
	}
	h.logger.Warn("compiled without the cache", slog.String("component", "wasmhost"), slog.Any("err", err))
	return p, nil
}

func buildProgram(cache wazero.CompilationCache, module []byte, memory int64) (p program, err error) {
	ctx := context.Background()
	config := wazero.NewRuntimeConfigCompiler().
		WithMemoryLimitPages(uint32(memory / pageSize)).
		WithCoreFeatures(coreFeatures)
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	p.runtime = wazero.NewRuntimeWithConfig(ctx, config)
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
