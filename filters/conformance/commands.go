package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// CheckCommands takes an SDK's conformance filter (SPEC.md) through the golden
// vectors, with the grants that the specification says. Commands that the
// filter leaves out are skipped if they are optional.
func CheckCommands(ctx context.Context, e Engine, wasm []byte) Report {
	c := commandChecker(ctx, e, wasm)
	vectors, err := Vectors()
	ok := c.check("vectors", "the golden vectors can be read", func() error { return err })
	if !ok || !c.check("module.format", "it is a core WebAssembly module", c.parse) {
		return c.report
	}
	for _, v := range vectors {
		c.check("command."+v.Name, v.Proves, func() error { return c.vector(&v) })
	}
	c.check("command.close", "router_close logs", c.closing)
	return c.report
}

// CheckVector is CheckCommands for one vector, which may be the caller's own.
func CheckVector(ctx context.Context, e Engine, wasm []byte, v Vector) Finding {
	c := commandChecker(ctx, e, wasm)
	c.check("command."+v.Name, v.Proves, func() error {
		if err := c.parse(); err != nil {
			return err
		}
		return c.vector(&v)
	})
	return c.report[0]
}

func commandChecker(ctx context.Context, e Engine, wasm []byte) *checker {
	c := &checker{ctx: ctx, engine: e, wasm: wasm, broken: map[string]error{}}
	c.o.Options = Options{Name: "conformance", Metrics: true, KV: true, Log: func(level int, text string) {
		c.logged = append(c.logged, fmt.Sprintf("log %d %q", level, text))
	}}
	return c
}

// vector runs the steps of one file, with a new instance after each trap.
func (c *checker) vector(v *Vector) error {
	config, err := configMessage(c.o.Name, v.Config)
	if err != nil {
		return err
	}
	return c.program(func(p Program) error {
		for done := 0; done < len(v.Steps); {
			err := c.instance(p, func(s *session) error {
				err := s.start(c.ctx, config)
				if refused, ok := errors.AsType[*refusedError](err); ok {
					lines := refused.delta.Lines()
					lines[0] = strings.Replace(lines[0], "error", "refused", 1)
					err = compareStep(done, &v.Steps[done], lines)
					done++
					return err
				}
				if err != nil {
					return err
				}
				done, err = c.steps(s, p, v, done)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// steps runs steps from the n-th until one traps, and returns which is next.
func (c *checker) steps(s *session, p Program, v *Vector, n int) (int, error) {
	for ; n < len(v.Steps); n++ {
		step := &v.Steps[n]
		c.logged = nil
		a, err := s.message(c.ctx, step.Stage, &step.Message)
		if trap, ok := errors.AsType[trapError](err); ok {
			err = compareStep(n, step, []string{"trap"})
			if err != nil {
				err = fmt.Errorf("%w (%w)", err, trap)
			}
			return n + 1, err
		}
		if err != nil {
			return n, fmt.Errorf("step %d: %w", n+1, err)
		}
		lines := strings.Split(a.String(), "\n")
		if unknown := `error "do" "unknown command"`; v.Optional && lines[0] == unknown && step.Want[0] != unknown {
			return n, skipf("the filter leaves this command out")
		}
		lines = append(lines, c.logged...)
		if err := compareStep(n, step, append(lines, metricLines(p, step.Want)...)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// metricLines returns the metrics that a step wants to see, as they are. An
// engine that cannot tell them is believed.
func metricLines(p Program, want []string) []string {
	var lines []string
	meter, ok := p.(Meter)
	for _, line := range want {
		name, found := strings.CutPrefix(line, "metric ")
		switch {
		case !found:
		case !ok:
			lines = append(lines, line)
		default:
			name, _, _ = strings.Cut(name, " ")
			lines = append(lines, fmt.Sprintf("metric %s %g", name, meter.Metrics()[name]))
		}
	}
	return lines
}

func compareStep(n int, step *Step, have []string) error {
	want := step.Want
	for i := range min(len(want), len(have)) {
		// A star at the end of a line stands for any value.
		if start, ok := strings.CutSuffix(want[i], " *"); ok && strings.HasPrefix(have[i], start+" ") {
			have[i] = want[i]
		}
		if body, ok := strings.CutPrefix(want[i], "body_any "); ok && (have[i] == "body "+body || have[i] == "body_ref "+body) {
			have[i] = want[i]
		}
	}
	if diff := difference(want, have); diff != "" {
		return fmt.Errorf("step %d: the answer is %s", n+1, diff)
	}
	return nil
}

func (c *checker) closing() error {
	if _, has := c.mod.export("router_close"); !has {
		return skipf("it exports no router_close")
	}
	config, err := configMessage(c.o.Name, nil)
	if err != nil {
		return err
	}
	return c.open(config, func(s *session) error {
		c.logged = nil
		if _, err := s.call(c.ctx, nil, "router_close"); err != nil {
			return err
		}
		if diff := difference([]string{`log 1 "closed"`}, c.logged); diff != "" {
			return fmt.Errorf("it logs %s", diff)
		}
		return nil
	})
}
