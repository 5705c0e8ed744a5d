package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/wasmrouter/router/wasmhost/compile"
)

// Host compiles and runs filters. It is safe for concurrent use.
type Host struct {
	logger *slog.Logger
	crowd  crowd
	store  *compile.Store // nil: this process compiles

	life context.Context // ends with Close, and loads with it
	end  context.CancelCauseFunc
	work sync.WaitGroup // loads, and compilations that were given up

	mu      sync.Mutex // protects what follows
	closed  bool
	filters map[*Filter]struct{}
	codes   map[string]*code
}

// New returns a host. It fails when this platform has no compiler: interpreted
// filters would be some sixty times slower, which nobody should find out by
// accident.
func New(_ context.Context, cfg Config) (_ *Host, err error) {
	if err := compilerWorks(); err != nil {
		return nil, err
	}
	h := &Host{
		logger: cfg.Logger, crowd: newCrowd(),
		filters: make(map[*Filter]struct{}), codes: make(map[string]*code),
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(cfg.Compiler) > 0:
		store, err := compile.New(compile.Config{Dir: cfg.CacheDir, Size: cfg.CacheSize, Compiler: cfg.Compiler, Logger: h.logger})
		if err != nil {
			return nil, err
		}
		h.store = store
	case cfg.CacheDir != "":
		return nil, errors.New("a cache directory is of use with a compiler only: give both or neither")
	}
	h.life, h.end = context.WithCancelCause(context.Background())
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
	r := wazero.NewRuntimeWithConfig(ctx, compile.RuntimeConfig())
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	// The smallest module with a function: type, function and code section.
	_, err = r.CompileModule(ctx, []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x04\x01\x02\x00\x0b"))
	return err
}

// Close closes the filters that are still open, ends the compilation of those
// that are being loaded, waits for all of them, at most until ctx ends, and frees
// the compiled code. It may be called again.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	open := make([]*Filter, 0, len(h.filters))
	for f := range h.filters {
		open = append(open, f)
	}
	h.mu.Unlock()
	h.end(ErrClosed)

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
	if h.store == nil {
		return nil
	}
	return h.store.Close()
}
