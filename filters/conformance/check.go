package conformance

import (
	"context"
	"errors"
	"fmt"
)

// CheckOptions are what [Check] runs a filter with.
type CheckOptions struct {
	Options

	// Config is the filter's configuration: strings, int64, float64, bool,
	// time.Time, []any and map[string]any.
	Config map[string]any

	// Messages are some that the filter is made for, in addition to the kit's
	// own, for example those of its golden cases.
	Messages []Message

	// Calls is how many calls the check for leaks makes; 20,000 without it.
	Calls int
}

// Check takes a filter through what a router may do to it within docs/ABI.md.
// The filter may answer with an ERROR whatever it does not like; it must not
// trap, run out of its limits, break a rule of deltas, or answer differently
// where nothing of the message differs. The report tells what was checked; it
// ends early when the module cannot be run at all, or with ctx.
func Check(ctx context.Context, e Engine, wasm []byte, o CheckOptions) Report {
	if o.Calls <= 0 {
		o.Calls = 20_000
	}
	c := &checker{ctx: ctx, engine: e, wasm: wasm, o: o, broken: map[string]error{}}
	if !c.static() {
		return c.report
	}
	if c.startUp() {
		c.samples = append(sampleMessages(), o.Messages...)
		c.answers()
		c.frames()
		c.messages()
		c.buffers()
		c.life()
	}
	c.rules()
	return c.report
}

// checker is one run of Check.
type checker struct {
	ctx    context.Context
	engine Engine
	wasm   []byte
	o      CheckOptions

	mod     *module
	config  *Message
	samples []Message
	healthy bool     // it takes the samples
	steady  bool     // and always answers the same
	plain   []answer // to the samples, in all stages
	claims  Needs

	broken map[string]error // by check, from whatever call came upon it
	logged []string         // by the call of CheckCommands that runs
	report Report
}

// skipError is why a check was not made.
type skipError string

func (e skipError) Error() string { return string(e) }

func skipf(format string, args ...any) error { return skipError(fmt.Sprintf(format, args...)) }

// Why checks are not made that need an earlier one to pass.
const (
	errUnhealthy = skipError("message.plain failed")
	errUnsteady  = skipError("message.plain or deterministic did not pass, there is nothing to compare with")
)

// check makes one check and reports whether it passed.
func (c *checker) check(id, proves string, run func() error) bool {
	f := Finding{ID: id, Proves: proves}
	err := c.ctx.Err()
	if err == nil {
		err = run()
	} else {
		err = skipf("%v", err)
	}
	if cause := c.note(err); cause != "" && cause != id {
		err = skipf("%s failed", cause)
	}
	_, skipped := errors.AsType[skipError](err)
	switch {
	case skipped:
		f.Verdict, f.Detail = Skip, err.Error()
	case err != nil:
		f.Verdict, f.Detail = Fail, err.Error()
	}
	c.report = append(c.report, f)
	return err == nil
}

// static checks what can be seen without running anything.
func (c *checker) static() bool {
	if !c.check("module.format", "it is a core WebAssembly module", c.parse) {
		return false
	}
	on := func(check func(*module) error) func() error { return func() error { return check(c.mod) } }
	ok := c.check("module.memory", "it has one memory of its own and exports it", on(checkMemory))
	ok = c.check("module.marker", "it says that it speaks ABI 1", on(checkMarker)) && ok
	ok = c.check("module.exports", "its exports have the right types", on(checkExports)) && ok
	return c.check("module.imports", "it imports only what hosts have", on(checkImports)) && ok
}

func (c *checker) parse() (err error) {
	c.mod, err = parseModule(c.wasm)
	return err
}

// startUp checks whether an instance gets ready for messages.
func (c *checker) startUp() bool {
	ok := c.check("start", "it starts with its configuration", func() (err error) {
		if c.config, err = configMessage(c.o.Name, c.o.Config); err != nil {
			return err
		}
		return c.fresh(func(s *session) error { c.claims = s.needs; return nil })
	})
	c.check("start.empty-config", "without a configuration it starts or says why not", func() error {
		if _, has := c.mod.export("router_init"); !has {
			return skipf("it exports no router_init")
		}
		config, err := configMessage(c.o.Name, nil)
		if err != nil {
			return err
		}
		err = c.open(config, func(*session) error { return nil })
		if _, ok := errors.AsType[*refusedError](err); ok {
			return nil
		}
		return err
	})
	return ok
}

// open runs fn with a new instance of a new program, started with config.
func (c *checker) open(config *Message, fn func(*session) error) error {
	return c.program(func(p Program) error {
		return c.instance(p, func(s *session) error {
			if err := s.start(c.ctx, config); err != nil {
				return err
			}
			return fn(s)
		})
	})
}

// fresh is open with the filter's own configuration.
func (c *checker) fresh(fn func(*session) error) error {
	return c.open(c.config, fn)
}

func (c *checker) program(fn func(Program) error) (err error) {
	p, err := c.engine.Load(c.ctx, c.wasm, c.o.Options)
	if err != nil {
		return fmt.Errorf("it cannot be loaded: %w", err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return fn(p)
}

func (c *checker) instance(p Program, fn func(*session) error) (err error) {
	inst, err := p.Start(c.ctx)
	if err != nil {
		return fmt.Errorf("it cannot be instantiated: %w", err)
	}
	defer func() { err = errors.Join(err, inst.Close()) }()
	return fn(&session{inst: inst, mod: c.mod, name: c.o.Name})
}

// note remembers an error for the check that it belongs to, and returns that.
// Whatever call came upon it may then go on.
func (c *checker) note(err error) (id string) {
	var needs needsError
	var buffer bufferError
	var place placeError
	var rules rulesError
	switch {
	case errors.As(err, &needs):
		id = "start.needs"
	case errors.As(err, &buffer):
		id = "buffer.room"
	case errors.As(err, &place):
		id = "delta.place"
	case errors.As(err, &rules):
		id = "delta.rules"
	default:
		return ""
	}
	if c.broken[id] == nil {
		c.broken[id] = err
	}
	return id
}

// say gives a message to the filter. A delta that breaks a rule which has a
// check of its own is no error here.
func (c *checker) say(s *session, stage Stage, m *Message) (answer, error) {
	a, err := s.message(c.ctx, stage, m)
	switch id := c.note(err); {
	case id == "delta.place" || id == "delta.rules":
		return answer{result: 1}, nil
	case err == nil && a.result == -1:
		return a, errMemory
	}
	return a, err
}

var errMemory = errors.New("it says that it is out of memory (-1)")

// rules reports what the calls of all checks came upon.
func (c *checker) rules() {
	for _, r := range []struct{ id, proves string }{
		{"start.needs", "router_needs asks for what there is"},
		{"buffer.room", "router_buffer gives aligned memory, as much as it was asked for"},
		{"delta.place", "its deltas lie in its memory"},
		{"delta.rules", "its deltas keep to the rules"},
	} {
		c.check(r.id, r.proves, func() error { return c.broken[r.id] })
	}
}
