package cases

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
)

// Messages are given to those expected so that as many as can be are as wanted,
// whichever comes first.
func TestEveryExpectedMessageFindsOneIfTheyCan(t *testing.T) {
	wanted := func(headers map[string]any) config.Sent {
		return config.Sent{Target: "queue:a", Message: config.Message{Headers: headers}}
	}
	is := func(headers map[string]any) view {
		return view{Sent: record.Sent{Target: router.Target{Kind: router.TargetQueue, Queue: "a"}, Envelope: router.NewEnvelope(headers, nil)}}
	}
	type h = map[string]any
	both, x, y := h{"x": "1", "y": "1"}, h{"x": "1"}, h{"y": "1"}
	for name, test := range map[string]struct {
		wanted []h
		sent   []h
		misses []Miss
	}{
		"any first":    {[]h{nil, x}, []h{x, y}, nil},
		"two give way": {[]h{nil, x, both}, []h{both, x, y}, nil},
		"one has none": {[]h{x, nil, x}, []h{y, y, both}, []Miss{{What: "header x to queue:a", Want: `"1"`, Got: none}}},
		"too few":      {[]h{nil, x}, []h{x}, []Miss{{What: "message to queue:a", Want: "one", Got: none}}},
		"the nearest":  {[]h{both}, []h{nil, y}, []Miss{{What: "header x to queue:a", Want: `"1"`, Got: none}}},
	} {
		t.Run(name, func(t *testing.T) {
			var expected []config.Sent
			for _, one := range test.wanted {
				expected = append(expected, wanted(one))
			}
			var sent []view
			for _, one := range test.sent {
				sent = append(sent, is(one))
			}
			var w want
			w.each(expected, sent)
			if diff := cmp.Diff(test.misses, w.misses); diff != "" || w.err != nil {
				t.Errorf("%s%v", diff, w.err)
			}
		})
	}
}

// A body in a diff is what others wrote.
func TestADiffDoesNotSteerTheTerminal(t *testing.T) {
	var w want
	w.body([]byte("a\nb"), false, []byte("a\n\x1b[2J\u009b31m"), "")
	r := Result{Misses: w.misses}
	want := "  body (- wanted, + got)\n      a\n    - b\n    + \\x1b[2J\\u009b31m\n"
	if diff := cmp.Diff(want, r.why()); diff != "" {
		t.Error(diff)
	}
}
