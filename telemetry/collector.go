package main

import (
	"errors"
	"unsafe"

	"github.com/wasmrouter/router/filters/sdk/go/filter"
)

type traceMode uint8

const (
	traceOff traceMode = iota
	traceKeep
	traceChild
)

// trace sees to it that the message carries a valid W3C trace context.
type trace struct {
	mode    traceMode
	sampled bool
}

func (t *trace) read(m *filter.Message) error {
	t.sampled = m.ConfigBool("trace.sampled", true)
	switch mode := m.ConfigText("trace.mode", "keep"); mode {
	case "off":
		t.mode = traceOff
	case "keep":
		t.mode = traceKeep
	case "child":
		t.mode = traceChild
	default:
		return errors.New("trace.mode: keep, child and off are known, not " + mode)
	}
	return nil
}

const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// The parts of 00-<trace id>-<parent id>-<flags>.
const (
	traceIDAt  = 3
	parentAt   = traceIDAt + 32 + 1
	flagsAt    = parentAt + 16 + 1
	parentSize = flagsAt + 2
)

var parentSpace [parentSize]byte

func (t *trace) apply(m *filter.Message, d *filter.Delta) {
	if t.mode == traceOff {
		return
	}
	p := parentSpace[:]
	old, valid := m.HeaderText(traceparent)
	valid = valid && validParent(old)
	switch {
	case valid && t.mode == traceKeep:
		return
	case valid:
		copy(p, old)
		randomHex(p[parentAt : parentAt+16])
		if old[:2] != "00" {
			// What a later version appends is unknown: speak version 00.
			copy(p, "00")
		}
	default:
		copy(p, "00-")
		randomHex(p[traceIDAt : traceIDAt+32])
		p[parentAt-1] = '-'
		randomHex(p[parentAt : parentAt+16])
		copy(p[flagsAt-1:], "-00")
		if t.sampled {
			p[parentSize-1] = '1'
		}
		if _, ok := m.Header(tracestate); ok {
			// It belongs to a trace that is not continued.
			d.DelHeader(tracestate)
		}
	}
	d.SetHeader(traceparent, unsafe.String(&p[0], len(p)))
}

// validParent checks a traceparent as the W3C recommendation has it: lower-case
// hex, ids that are not zero, no version ff, nothing after the flags in version
// 00 and only after a dash in later ones.
func validParent(s string) bool {
	if len(s) < parentSize || s[2] != '-' || s[parentAt-1] != '-' || s[flagsAt-1] != '-' || s[:2] == "ff" {
		return false
	}
	if len(s) > parentSize && (s[:2] == "00" || s[parentSize] != '-') {
		return false
	}
	_, ok := hexBits(s[:2])
	_, ok2 := hexBits(s[flagsAt:parentSize])
	id, ok3 := hexBits(s[traceIDAt : parentAt-1])
	parent, ok4 := hexBits(s[parentAt : flagsAt-1])
	return ok && ok2 && ok3 && ok4 && id && parent
}

// hexBits reports whether a lower-case hex text has a bit set, and is one.
func hexBits(s string) (set, ok bool) {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false, false
		}
		set = set || c != '0'
	}
	return set, true
}

const digits = "0123456789abcdef"

var randomSpace [16]byte

// randomHex fills p, 16 or 32 bytes, with an id that is not zero.
func randomHex(p []byte) {
	b := randomSpace[:len(p)/2]
	filter.Random(b)
	zero := true
	for _, c := range b {
		zero = zero && c == 0
	}
	if zero {
		b[0] = 1
	}
	for i, c := range b {
		p[2*i], p[2*i+1] = digits[c>>4], digits[c&15]
	}
}
