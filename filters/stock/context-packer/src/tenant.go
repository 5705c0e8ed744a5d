package main

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/wasmrouter/router/filters/sdk/go/filter"
)

type sourceKind uint8

const (
	fromHeader sourceKind = iota
	fromProperty
	fromBody
	fixed
)

// source is one place where a message's tenant may stand.
type source struct {
	kind sourceKind
	name string // header, JSON path or the fixed tenant
	slot filter.Slot
}

func parseSource(s string) (source, error) {
	kind, name, _ := strings.Cut(s, ":")
	switch {
	case name == "":
	case kind == "header":
		return source{kind: fromHeader, name: name}, nil
	case kind == "body":
		return source{kind: fromBody, name: name}, nil
	case kind == "fixed":
		return source{kind: fixed, name: name}, nil
	case kind == "property":
		slot, ok := filter.SlotNamed(name)
		if !ok {
			return source{}, errors.New("tenant.from: no such property: " + name)
		}
		return source{kind: fromProperty, slot: slot}, nil
	}
	return source{}, errors.New("tenant.from: write header:NAME, property:NAME, body:PATH or fixed:TENANT, not " + s)
}

// tenant puts the message's tenant into a header.
type tenant struct {
	from     []source
	header   string
	fallback string
	required bool
}

func (t *tenant) read(m *filter.Message) error {
	for _, s := range m.ConfigList("tenant.from") {
		src, err := parseSource(s)
		if err != nil {
			return err
		}
		t.from = append(t.from, src)
	}
	t.header = m.ConfigText("tenant.header", "tenant")
	t.fallback = m.ConfigText("tenant.default", "")
	t.required = m.ConfigBool("tenant.required", false)
	if t.header == "" {
		return errors.New("tenant.header is empty")
	}
	if len(t.from) == 0 && (t.required || t.fallback != "") {
		return errors.New("tenant.from is missing")
	}
	return nil
}

// maxTenant bounds a tenant's length: it becomes part of keys and metrics.
const maxTenant = 255

var tenantSpace [4 * maxTenant]byte

// find returns the message's tenant, empty when it has none.
func (t *tenant) find(m *filter.Message, d *filter.Delta) (string, bool) {
	for i := range t.from {
		s := &t.from[i]
		var v string
		switch s.kind {
		case fixed:
			v = s.name
		case fromProperty:
			v = m.Prop(s.slot)
		case fromHeader:
			if h, ok := m.Header(s.name); ok {
				v, _ = h.Text(tenantSpace[:])
			}
		case fromBody:
			field, found, badAt := filter.FindJSON(m.Body(), s.name)
			if badAt >= 0 && len(m.Body()) > 0 {
				notJSON(d, badAt)
				return "", false
			}
			if found && len(field.Raw) <= len(tenantSpace) {
				v, _ = field.Text(tenantSpace[:])
			}
		}
		if v != "" && len(v) <= maxTenant && clean(v) {
			return v, true
		}
	}
	return t.fallback, true
}

// clean reports whether s may stand in a header and a log line.
func clean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// apply returns false when the message goes no further.
func (t *tenant) apply(m *filter.Message, d *filter.Delta) bool {
	if len(t.from) == 0 {
		return true
	}
	name, ok := t.find(m, d)
	if !ok {
		return false
	}
	old, had := m.Header(t.header)
	switch {
	case name == "" && t.required:
		d.Reject("the message names no tenant")
		return false
	case name == "" && had:
		// A header that nothing vouches for must not pass as the tenant.
		d.DelHeader(t.header)
	case name != "" && (!had || old.Type != filter.UTF8 || old.Raw != name):
		d.SetHeader(t.header, name)
	}
	return true
}
