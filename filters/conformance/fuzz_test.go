package conformance

import (
	"bytes"
	"testing"
)

// FuzzDecodeDelta: what is accepted can be written and applied.
func FuzzDecodeDelta(f *testing.F) {
	for _, d := range append(validDeltas(), invalidDeltas()...) {
		if len(d.delta.b) < 1<<16 {
			f.Add(d.delta.b, uint8(d.in()[0]))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, stage uint8) {
		before := bytes.Clone(data)
		delta, err := DecodeDelta(data, Stage(stage), echoMemory())
		if !bytes.Equal(before, data) {
			t.Fatal("the delta was changed")
		}
		if err != nil {
			return
		}
		if len(delta.Lines()) != len(delta) {
			t.Error("not a line for each op")
		}
		out := delta.Apply(echoMessage(0, nil))
		out.Lines()
	})
}

// FuzzParseModule: whatever is no module is refused, quickly.
func FuzzParseModule(f *testing.F) {
	for _, m := range [][]byte{probeModule, echoModule, callsModule, wasiModule, refusingModule} {
		f.Add(m)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		m, err := parseModule(data)
		if err != nil {
			return
		}
		for _, check := range []func(*module) error{checkMemory, checkMarker, checkExports, checkImports} {
			_ = check(m) // an error is as good as none
		}
	})
}

// FuzzReadFrame: what the kit writes it reads, and what it reads it could have
// been sent.
func FuzzReadFrame(f *testing.F) {
	for _, m := range frameMessages() {
		if frame := Frame(&m, Decide, Everything, Layout{}); len(frame) < 1<<12 {
			f.Add(frame)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 { // parts may overlap, and then there is a lot to compare
			return
		}
		have, err := readFrame(data)
		if err != nil || have.flags != 0 || have.nProps == 0 {
			return
		}
		again, err := readFrame(Frame(&have.Message, have.stage, Everything, Layout{}))
		if err != nil {
			t.Fatal(err)
		}
		first, second := Outcome{Message: have.Message}, Outcome{Message: again.Message}
		if diff := difference(first.Lines(), second.Lines()); diff != "" {
			t.Error(diff)
		}
	})
}
