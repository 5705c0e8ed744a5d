package conformance

import (
	"errors"
	"fmt"
	"slices"
)

// How far the checks grow the buffer.
const (
	mostBuffer  = 4 << 20
	aFewBuffers = 256 << 10
)

// buffers checks router_buffer beyond what every call needs of it.
func (c *checker) buffers() {
	c.check("buffer.grows", "router_buffer gives up to 4 MiB, step by step", func() error {
		return c.fresh(func(s *session) error {
			err := c.growTo(s, mostBuffer)
			if errors.Is(err, errFull) {
				return skipf("it takes frames of up to %d bytes", s.size)
			}
			return err
		})
	})
	c.compared("buffer.own", "the whole input buffer is the router's, where it moves to as well",
		"copy what is kept from the configuration, keep nothing in the buffer, and read frames where ptr says",
		Layout{}, func(s *session) error {
			s.fill = true
			if err := c.growTo(s, aFewBuffers); !errors.Is(err, errFull) {
				return err
			}
			return nil
		})
}

// growTo grows the buffer by doubling, and overwrites all of it each time.
func (c *checker) growTo(s *session, most uint32) error {
	for s.size < most {
		if err := s.grow(c.ctx, s.size+1); err != nil {
			return err
		}
		room := s.inst.Memory()[s.buf:][:s.size]
		for i := range room {
			room[i] = 0xa5
		}
	}
	return nil
}

// life checks what many calls and the end do.
func (c *checker) life() {
	c.check("stateless.order", "a stateless filter answers the same in any order of messages", func() error {
		if err := c.isStateless(); err != nil {
			return err
		}
		if c.mod.uses("router", "kv_") {
			return skipf("it uses the key-value cache, where order may matter")
		}
		return c.fresh(func(s *session) error {
			backward := slices.Clone(c.plain)
			for i := range slices.Backward(c.plain) {
				stages := c.mod.stages()
				a, err := c.say(s, stages[i%len(stages)], &c.samples[i/len(stages)])
				if err != nil {
					return fmt.Errorf("%s: %w", c.where(i), err)
				}
				backward[i] = a
			}
			if err := c.same(c.plain, backward); err != nil {
				return fmt.Errorf("%w; keep nothing from message to message, or do not say stateless", err)
			}
			return nil
		})
	})
	c.check("stateless.replaced", "a stateless filter answers the same when each message finds a new instance", func() error {
		if err := c.isStateless(); err != nil {
			return err
		}
		return c.program(c.replaced)
	})
	c.check("memory.flat", fmt.Sprintf("%d calls need no more memory than half of them", c.o.Calls), func() error {
		if !c.healthy {
			return errUnhealthy
		}
		return c.fresh(c.flat)
	})
	c.check("close", "router_close returns", func() error {
		if _, has := c.mod.export("router_close"); !has {
			return skipf("it exports no router_close")
		}
		if !c.healthy {
			return errUnhealthy
		}
		return c.fresh(func(s *session) error {
			if _, err := c.all(s); err != nil {
				return err
			}
			_, err := s.call(c.ctx, nil, "router_close")
			return err
		})
	})
}

func (c *checker) isStateless() error {
	switch {
	case !c.claims.Stateless:
		return skipf("it does not say that it is stateless")
	case !c.steady:
		return errUnsteady
	}
	return nil
}

// replaced gives each of the samples to an instance of its own, of one program.
func (c *checker) replaced(p Program) error {
	var answers []answer
	for i := range c.plain {
		err := c.instance(p, func(s *session) error {
			if err := s.start(c.ctx, c.config); err != nil {
				return err
			}
			stages := c.mod.stages()
			a, err := c.say(s, stages[i%len(stages)], &c.samples[i/len(stages)])
			answers = append(answers, a)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", c.where(i), err)
		}
	}
	if err := c.same(c.plain, answers); err != nil {
		return fmt.Errorf("%w; what must outlive an instance belongs into the key-value cache", err)
	}
	return nil
}

// flat makes many calls and looks for growing memory. A collector needs a while
// until it has all the memory it wants, so the first half does not count.
func (c *checker) flat(s *session) error {
	stages := c.mod.stages()
	size := 0
	for n := range c.o.Calls {
		if n == c.o.Calls/2 {
			size = len(s.inst.Memory())
		}
		i := n / len(stages) % len(c.samples)
		if _, err := c.say(s, stages[n%len(stages)], &c.samples[i]); err != nil {
			return fmt.Errorf("call %d: %w", n, err)
		}
	}
	if now := len(s.inst.Memory()); now > size {
		return fmt.Errorf("memory grew from %d to %d bytes in the last %d calls; free what a call allocates, or allocate once (Go: let filter.Handle yield to the collector)",
			size, now, c.o.Calls-c.o.Calls/2)
	}
	return nil
}
