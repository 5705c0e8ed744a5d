package compile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"sync"
)

// DefaultSize is what a store keeps, in bytes, unless configured otherwise.
const DefaultSize = 512 << 20

// Config is what a [Store] needs.
type Config struct {
	// Dir holds compiled code between runs, also of several processes at once;
	// it is made with mode 0700. A directory that others may write, or replace,
	// is refused, since the code is run. Empty is a temporary directory, which
	// Close removes.
	Dir string

	// Size is how many bytes to keep in Dir; 0 is DefaultSize. What was used
	// last is kept.
	Size int64

	// Compiler is the command that compiles, see [Self].
	Compiler []string

	Logger *slog.Logger // nil discards
}

// Store holds compiled code on disk and has compiled what is missing. It is safe
// for concurrent use.
type Store struct {
	compiler compiler
	size     int64
	logger   *slog.Logger
	dir      *directory
	temp     bool          // dir is to be removed
	slots    chan struct{} // bounds the compilers at work
	close    func() error

	mu   sync.Mutex // protects busy
	busy map[string]chan struct{}

	spared sync.Once
	spare  *Store // for code that dir cannot take
}

// New opens a store and prunes it. The caller closes it, after all loads.
func New(cfg Config) (*Store, error) {
	if len(cfg.Compiler) == 0 {
		return nil, errors.New("no command compiles for this store")
	}
	s := &Store{
		compiler: cfg.Compiler, size: cfg.Size, logger: cfg.Logger,
		// Each takes up to two processors and its limit of memory.
		slots: make(chan struct{}, min(4, max(1, runtime.GOMAXPROCS(0)/processors))),
		busy:  make(map[string]chan struct{}),
	}
	s.close = sync.OnceValue(s.closeOnce)
	if s.size <= 0 {
		s.size = DefaultSize
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	dir := cfg.Dir
	if dir == "" {
		removeTemporary()
		var err error
		if dir, err = os.MkdirTemp("", temporaryPrefix); err != nil {
			return nil, &storeError{os.TempDir(), err}
		}
		s.temp = true
	}
	var err error
	if s.dir, err = openDirectory(dir, s.size); err != nil {
		if s.temp {
			_ = os.RemoveAll(dir)
		}
		return nil, err
	}
	s.dir.prune()
	return s, nil
}

// Close frees the directory, and removes it if it is temporary. It may be called
// again.
func (s *Store) Close() error { return s.close() }

func (s *Store) closeOnce() error {
	var errs []error
	if s.spare != nil {
		errs = append(errs, s.spare.Close())
	}
	errs = append(errs, s.dir.close())
	if s.temp {
		errs = append(errs, os.RemoveAll(s.dir.base))
	}
	return errors.Join(errs...)
}

// Load calls use, once, with the directory in which a runtime of [RuntimeConfig]
// and a cache of that directory find the code of the module. Code that is
// missing or damaged is compiled first, within the limits; callers with the same
// module wait for each other. When ctx ends, so does compiling, with the cause
// as the error. Errors are a [ModuleError], that use failed, or that compiling
// is impossible here.
func (s *Store) Load(ctx context.Context, module []byte, l Limits, use func(dir string) error) error {
	sum := sha256.Sum256(module)
	err := s.load(ctx, hex.EncodeToString(sum[:]), module, l, use)
	var store *storeError
	if !errors.As(err, &store) || s.temp {
		return err
	}
	// A full disk is no reason not to start.
	s.spared.Do(func() { s.openSpare(err) })
	if s.spare == nil {
		return err
	}
	return s.spare.Load(ctx, module, l, use)
}

// openSpare opens the store that takes this one's place because of err.
func (s *Store) openSpare(err error) {
	spare, again := New(Config{Size: s.size, Compiler: s.compiler, Logger: s.logger})
	if again != nil {
		s.logger.Warn("compiled filters cannot be kept in a temporary directory either", slog.String("component", "wasmhost"), slog.Any("err", again))
		return
	}
	s.spare = spare
	s.logger.Warn("compiled filters are kept in a temporary directory, so the next start takes longer", slog.String("component", "wasmhost"), slog.Any("err", err))
}

func (s *Store) load(ctx context.Context, key string, module []byte, l Limits, use func(dir string) error) error {
	err := s.find(key, use)
	if !errors.Is(err, errMissing) {
		return err
	}
	done, err := s.turn(ctx, key)
	if err != nil {
		return err
	}
	defer done()
	// Again, since the one before may have made it; and a few times, since
	// others may prune or damage what was made.
	for range 3 {
		if err := s.find(key, use); !errors.Is(err, errMissing) {
			return err
		}
		if err := s.compile(ctx, key, module, l); err != nil {
			return err
		}
	}
	return &storeError{s.dir.base, errors.New("they disappear from " + s.dir.path)}
}

// find is that of the directory, with a warning for what is damaged.
func (s *Store) find(key string, use func(dir string) error) error {
	err := s.dir.find(key, use)
	if errors.Is(err, errDamaged) {
		s.logger.Warn("a compiled filter is compiled again", slog.String("component", "wasmhost"), slog.Any("err", err))
		return errMissing
	}
	return err
}

// turn waits until nobody else compiles the module.
func (s *Store) turn(ctx context.Context, key string) (done func(), err error) {
	for {
		s.mu.Lock()
		other, ok := s.busy[key]
		if !ok {
			mine := make(chan struct{})
			s.busy[key] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.busy, key)
				s.mu.Unlock()
				close(mine)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// compile makes the entry of a module.
func (s *Store) compile(ctx context.Context, key string, module []byte, l Limits) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := s.dir.put(key, func(dir string) error { return s.compiler.run(ctx, dir, module, l) })
	if err != nil {
		return err
	}
	s.dir.prune()
	return nil
}
