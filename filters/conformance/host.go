package conformance

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
)

// The filters that look at a host from inside; their sources lie beside them.
var (
	//go:embed host/probe.wasm
	probeModule []byte
	//go:embed host/echo.wasm
	echoModule []byte
	//go:embed host/calls.wasm
	callsModule []byte
	//go:embed host/wasi.wasm
	wasiModule []byte
	//go:embed host/refuse.wasm
	refusingModule []byte
)

// CheckHost takes a host through what filters may do to it: what it writes, in
// what order it calls, what the imports do, what it makes of good and bad
// deltas and of filters that fail. Limits that the kit does not name should be
// the default ones, a call's time best 1 s. With ids, only those checks are made.
func CheckHost(ctx context.Context, h Host, ids ...string) Report {
	c := &hostChecker{ctx: ctx, host: h, only: ids}
	c.frames()
	c.deltas()
	c.failures()
	c.refusals()
	c.imports()
	c.wasi()
	return c.report
}

// hostChecker is one run of CheckHost.
type hostChecker struct {
	ctx    context.Context
	host   Host
	only   []string
	report Report
}

func (c *hostChecker) check(id, proves string, run func() error) {
	if len(c.only) > 0 && !slices.Contains(c.only, id) {
		return
	}
	f := Finding{ID: id, Proves: proves}
	err := c.ctx.Err()
	if err == nil {
		err = run()
	} else {
		err = skipf("%v", err)
	}
	_, skipped := errors.AsType[skipError](err)
	switch {
	case skipped:
		f.Verdict, f.Detail = Skip, err.Error()
	case err != nil:
		f.Verdict, f.Detail = Fail, err.Error()
	}
	c.report = append(c.report, f)
}

// with runs fn with a filter that it closes.
func (c *hostChecker) with(module []byte, config map[string]any, o Options, fn func(Filter) error) (err error) {
	if o.Name == "" {
		o.Name = "kit"
	}
	f, err := c.host.Load(c.ctx, module, config, o)
	if err != nil {
		return fmt.Errorf("it does not load the kit's filter: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return fn(f)
}

// failureOf runs a message that should fail and returns how it did. Nothing may
// have changed.
func (c *hostChecker) failureOf(f Filter, stage Stage, m *Message) (*Failure, error) {
	out, err := f.Run(c.ctx, stage, m)
	if err == nil {
		return nil, fmt.Errorf("it takes it as %s", short(fmt.Sprint(out.Lines())))
	}
	fail, ok := errors.AsType[*Failure](err)
	if !ok {
		return nil, fmt.Errorf("its error has no class: %w", err)
	}
	before := Outcome{Message: *m}
	if diff := difference(before.Lines(), out.Lines()); diff != "" {
		return nil, fmt.Errorf("the message failed and was changed nevertheless: it is %s", diff)
	}
	return fail, nil
}

// expect compares an outcome with a message and what a delta makes of it.
func expect(m *Message, delta Delta, have Outcome) error {
	want := delta.Apply(m)
	if diff := difference(want.Lines(), have.Lines()); diff != "" {
		return fmt.Errorf("the outcome is %s", diff)
	}
	return nil
}

// allStages are the five stages.
var allStages = []Stage{Decode, Unpack, Decide, Pack, Encode}

// sorted sorts headers, whose order means nothing.
func sorted(headers []Header) []Header {
	headers = slices.Clone(headers)
	slices.SortFunc(headers, func(a, b Header) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return headers
}
