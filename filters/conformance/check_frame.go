package conformance

import (
	"encoding/binary"
	"fmt"
)

// sequence gives all samples to all stages of a new instance whose frames have
// the layout, and returns the answers.
func (c *checker) sequence(l Layout, prepare func(*session) error) ([]answer, error) {
	var answers []answer
	err := c.fresh(func(s *session) (err error) {
		s.layout = l
		if prepare != nil {
			if err := prepare(s); err != nil {
				return err
			}
		}
		answers, err = c.all(s)
		return err
	})
	return answers, err
}

// all gives all samples to all stages.
func (c *checker) all(s *session) ([]answer, error) {
	var answers []answer
	for i := range c.samples {
		for _, stage := range c.mod.stages() {
			a, err := c.say(s, stage, &c.samples[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.where(len(answers)), err)
			}
			answers = append(answers, a)
		}
	}
	return answers, nil
}

// where names the n-th answer of all.
func (c *checker) where(n int) string {
	stages := c.mod.stages()
	return fmt.Sprintf("message %d in %s", n/len(stages), stages[n%len(stages)])
}

// same compares answers to the samples.
func (c *checker) same(want, have []answer) error {
	for i := range want {
		if w, h := want[i].String(), have[i].String(); w != h {
			return fmt.Errorf("%s: it answers %q, and without that %q", c.where(i), short(h), short(w))
		}
	}
	return nil
}

// answers finds out what the filter says to plain messages and whether it
// always says that.
func (c *checker) answers() {
	c.healthy = c.check("message.plain", "it takes ordinary messages in every stage it exports", func() (err error) {
		c.plain, err = c.sequence(Layout{}, nil)
		return err
	})
	c.steady = c.check("deterministic", "the same messages get the same answers in another instance", func() error {
		switch {
		case !c.healthy:
			return errUnhealthy
		case c.o.Clock || c.o.Random:
			return skipf("it has the grant clock or random")
		}
		again, err := c.sequence(Layout{}, nil)
		if err != nil {
			return err
		}
		if err := c.same(c.plain, again); err != nil {
			return fmt.Errorf("%w; keep nothing outside of the instance, and take time and random bytes from the host", err)
		}
		return nil
	})
}

// compared makes a check whose messages must get the answers of plain ones.
func (c *checker) compared(id, proves, hint string, l Layout, prepare func(*session) error) {
	c.check(id, proves, func() error {
		if !c.steady {
			return errUnsteady
		}
		answers, err := c.sequence(l, prepare)
		if err != nil {
			return err
		}
		if err := c.same(c.plain, answers); err != nil {
			return fmt.Errorf("%w; %s", err, hint)
		}
		return nil
	})
}

// frames checks what a later router may add to frames.
func (c *checker) frames() {
	c.compared("frame.head", "it skips to head_len", "take offsets from the head, not from its usual length", Layout{Head: 64}, nil)
	c.compared("frame.flags", "it ignores flags it does not know", "test single bits of the flags", Layout{Flags: ^uint32(knownFlags)}, nil)
	c.compared("frame.minor", "it ignores a higher minor version and reserved bytes", "do not look at them", Layout{Minor: 7, Reserved: true}, nil)
	c.compared("frame.slots", "it ignores property slots it does not know", "read n_prop, and only the slots you know", Layout{Slots: 6}, nil)
	c.compared("frame.order", "it finds the parts of a frame wherever they lie", "follow hdr_off, prop_off, body_off and the offsets in the tables, and copy what is kept from the configuration", Layout{Shuffled: true}, nil)
	c.check("frame.header-type", "a header of an unknown type does no harm", func() error {
		if !c.healthy {
			return errUnhealthy
		}
		_, err := c.sequence(Layout{OddHeader: true}, nil)
		return err
	})
	c.check("frame.malformed", "it returns -2 for what is no frame", c.malformed)
}

func (c *checker) malformed() error {
	return c.fresh(func(s *session) error {
		for _, stage := range c.mod.stages() {
			for _, bad := range malformedFrames(stage) {
				a, err := s.handle(c.ctx, &Message{}, stage, bad.frame)
				if err == nil && a.result != -2 {
					err = fmt.Errorf("it answers %q", short(a.String()))
				}
				if err != nil {
					return fmt.Errorf("%s, %s: %w; return -2 when len is below 80 or the magic is not RTR1", stage, bad.name, err)
				}
			}
			if _, err := c.say(s, stage, &c.samples[0]); err != nil {
				return fmt.Errorf("%s after malformed frames: %w", stage, err)
			}
		}
		return nil
	})
}

type malformedFrame struct {
	name  string
	frame []byte
}

func malformedFrames(stage Stage) []malformedFrame {
	whole := Frame(&Message{Body: []byte("{}")}, stage, Everything, Layout{})
	other := append([]byte(nil), whole...)
	binary.LittleEndian.PutUint32(other, 0x32525452)
	return []malformedFrame{
		{"a frame of 0 bytes", nil},
		{"a frame of 4 bytes", whole[:4]},
		{"a frame of 79 bytes", whole[:79]},
		{"80 bytes of zeros", make([]byte, 80)},
		{"the magic RTR2", other},
	}
}
