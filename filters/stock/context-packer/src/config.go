package main

import (
	"errors"
	"strings"

	"github.com/wasmrouter/router/filters/sdk/go/filter"
)

type config struct {
	tenant tenant
	trace  trace
	redact redact
}

// known are the configuration's keys; those that end in a dot are arrays.
var known = []string{
	"tenant.from", "tenant.from.", "tenant.header", "tenant.default", "tenant.required",
	"trace.mode", "trace.sampled",
	"redact.headers", "redact.headers.", "redact.fields", "redact.fields.", "redact.mode", "redact.mask",
}

func checkKeys(m *filter.Message) error {
	for i := range m.HeaderCount() {
		name, v := m.HeaderAt(i)
		ok := false
		for _, k := range known {
			if name == k || strings.HasSuffix(k, ".") && strings.HasPrefix(name, k) {
				ok = true
			}
		}
		if !ok {
			return errors.New("unknown key: " + name)
		}
		want := filter.UTF8
		if name == "tenant.required" || name == "trace.sampled" {
			want = filter.Bool
		}
		if v.Type != want {
			return errors.New(name + ": not of the type expected")
		}
	}
	return nil
}

func (c *config) read(m *filter.Message) error {
	if err := checkKeys(m); err != nil {
		return err
	}
	if err := c.tenant.read(m); err != nil {
		return err
	}
	if err := c.trace.read(m); err != nil {
		return err
	}
	return c.redact.read(m)
}

func (c *config) needs() int64 {
	needs := int64(filter.NeedHeaders | filter.Stateless)
	if len(c.redact.fields) > 0 {
		needs |= filter.NeedBody
	}
	for _, s := range c.tenant.from {
		switch s.kind {
		case fromBody:
			needs |= filter.NeedBody
		case fromProperty:
			needs |= filter.NeedProperties
		}
	}
	return needs
}
