package recording

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/app/cases"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/internal/wasmasm"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// answers is a filter that replies with what it was given: its delta is the action
// reply.
const answers = `
memory 1
func router_abi_1
end
func router_buffer (i32) -> (i32)
  i32.const 1024
end
func router_decide (i32 i32) -> (i64)
  i32.const 512
  i64.const 327686 ;; action, of five letters
  i64.store 0
  i32.const 512
  i64.const 521510348146 ;; reply
  i64.store 8
  i64.const 2199023255568 ;; 16 bytes from 512
end
`

const repliesTOML = `bodies = true
[queues.calls]
[queues.plain]
[queues.asked]
[queues.reply_here]
[process]
allow_outside_paths = true
drain_timeout = "10ms"
[filters.answers]
path = %q
[routes.proxied]
listen = "calls"
format = "oslo"
mode = "proxy"
send = ["queue:a"]
[routes.answered]
listen = "asked"
format = "oslo"
filters = ["answers"]
allow = ["queue:reply_*"]
[routes.plain]
listen = "plain"
filters = ["answers"]
allow = ["queue:reply_*"]
`

// call is a call of oslo.messaging in the queue of a route.
func call(route, queue, replyTo string, compressed bool) *record.Record {
	request := oslo.Request{Method: "m", MsgID: strings.Repeat("1", 32), ReplyQueue: replyTo, UniqueID: "u", Args: oslo.Raw(`{ "none": null}`)}
	r := message(route, "", string(oslo.Seal(request.Encode())))
	if compressed {
		var as bytes.Buffer // others than package oslo would have them
		w, err := zlib.NewWriterLevel(&as, zlib.NoCompression)
		if err != nil {
			panic(err)
		}
		_, _ = w.Write(r.Received.Body)
		_ = w.Close()
		r.Received.Body = as.Bytes()
		r.Received.SetHeader(oslo.HeaderCompression, oslo.CompressionGzip)
	}
	r.Received.Origin.Queue, r.Received.ContentType = queue, oslo.ContentType
	r.Received.Properties.ReplyTo = replyTo
	return r
}

// Routes that call in their own name, and those that answer, do the same again and
// are as their golden cases expect, whether the answers arrived or not.
func TestCallsAndRepliesAreWhatTheyWere(t *testing.T) {
	module, err := wasmasm.Module(answers)
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, fmt.Sprintf(repliesTOML, write(t, t.TempDir(), "answers.wasm", string(module))))
	stop, _ := taking(t, TakeOptions{Router: l.remote, Sample: 1, Files: Files{Path: filepath.Join(t.TempDir(), "r"), MaxSize: 1 << 20, Keep: 1}})
	l.awaitTaken(t, 0)
	all := []*record.Record{
		call("proxied", "calls", "reply_caller", false), call("proxied", "calls", "reply_other", true), call("proxied", "calls", "", false),
		call("answered", "asked", "reply_gone", false), call("answered", "asked", "reply_gone_too", false),
		call("plain", "plain", "reply_gone", false),
	}
	l.send(t, all)
	l.awaitTaken(t, uint64(len(all)))
	taken, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	unroutable := 0
	_, err = each(taken.Files, func(_ int, r *record.Record) error {
		if r.Decision.Action == record.ActionDeadLetter && r.Decision.Reason == router.ReasonUnroutable {
			unroutable++
		}
		return nil
	})
	if err != nil || unroutable != 3 {
		t.Fatalf("%d answers did not arrive, %v", unroutable, err)
	}
	r, err := Replay(t.Context(), ReplayOptions{Files: taken.Files, Config: l.config, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if r.Messages != len(all) || r.Different != 0 {
		var text bytes.Buffer
		_ = r.WriteText(&text)
		t.Error(text.String())
	}
	golden := filepath.Join(t.TempDir(), "golden.test.toml")
	for each, want := range map[int]int{1: 3, 9: len(all)} {
		_ = os.Remove(golden)
		g, err := MakeGolden(GoldenOptions{Files: taken.Files, Out: golden, Each: each})
		if err != nil || g.Cases != want {
			t.Fatalf("%d of each: %+v, %v", each, g, err)
		}
		report, err := cases.Run(t.Context(), cases.Options{Config: l.config, Files: []string{golden}})
		if err != nil {
			t.Fatal(err)
		}
		if report.Passed != want {
			var text bytes.Buffer
			_ = report.WriteText(&text)
			t.Error(text.String())
		}
	}
}
