package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/recording"
)

func TestRecordTellsWhatIsLeftOut(t *testing.T) {
	for _, c := range []struct {
		summary *record.Summary
		want    string
	}{
		{nil, "7 messages recorded, 1 left out by the filter\n"},
		{&record.Summary{Why: record.WhyOver, Dropped: 1}, "7 messages recorded, 1 left out by the filter\n"},
		{&record.Summary{Why: record.WhyStopped, Dropped: 3}, "7 messages recorded, 2 left out because they could not be written fast enough, 1 left out by the filter\n"},
	} {
		var out bytes.Buffer
		cmd := newRecord()
		cmd.SetOut(&out)
		if err := printTaken(cmd, "text", &recording.Taken{Files: []string{"f"}, Written: 7, Redacted: 1, Summary: c.summary}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want+"f\n", out.String()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
