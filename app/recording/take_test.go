package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/remote"
	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/transport"
)

const patience = time.Minute

// live is a running router that is its own broker.
type live struct {
	*app.App
	config string
	broker string
	remote remote.Options
	log    bytes.Buffer // to be read when the router has stopped
}

func start(t *testing.T, admin string) *live {
	t.Helper()
	l := &live{broker: testkit.FreeAddress(t)}
	l.config = write(t, t.TempDir(), "router.toml", fmt.Sprintf(`
[broker]
url = "embedded://%s"
[queues.in]
[queues.other]
[queues.a]
[queues.b]
[admin]
listen = "127.0.0.1:0"
%s
`, l.broker, admin)+routerTOML)
	var err error
	if l.App, err = app.New(t.Context(), app.Options{ConfigPath: l.config, LogOutput: &l.log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.stop(t) })
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.remote.Address = l.AdminAddr()
	return l
}

func (l *live) stop(t *testing.T) {
	if err := l.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// send sends messages of a recording to the router.
func (l *live) send(t *testing.T, all []*record.Record) {
	t.Helper()
	tr, err := transport.Open("amqp://"+l.broker, transport.Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close(context.Background()) }()
	if err := tr.Broker().Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	sender := tr.Broker().Sender("test")
	defer sender.Close()
	sent, err := Send(t.Context(), sender, SendOptions{Files: []string{stored(t, t.TempDir(), all)}, Rate: 1e6})
	if err != nil || sent.Sent != len(all) {
		t.Fatal(sent, err)
	}
}

// awaitTaken waits until a recording has so many messages; 0 waits for it to begin.
func (l *live) awaitTaken(t *testing.T, n uint64) {
	t.Helper()
	client, err := remote.Open(l.remote)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, patience, "the recording", func() (bool, string) {
		var all []record.Status
		err := client.Call(t.Context(), "GET", "/api/record", nil, &all)
		return err == nil && len(all) == 1 && all[0].Taken >= n, fmt.Sprintf("%+v, %v", all, err)
	})
}

// taking runs Take until stop, or with wait until it ends by itself.
func taking(t *testing.T, o TakeOptions) (stop, wait func() (*Taken, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		taken *Taken
		err   error
	}
	done := make(chan result, 1)
	go func() {
		taken, err := Take(ctx, o)
		done <- result{taken, err}
	}()
	t.Cleanup(cancel)
	wait = func() (*Taken, error) {
		r := <-done
		return r.taken, r.err
	}
	return func() (*Taken, error) { cancel(); return wait() }, wait
}

// What a running router made of messages is recorded, and is what the same
// configuration makes of them again.
func TestARunningRouterIsRecorded(t *testing.T) {
	l := start(t, "bodies = true")
	file := filepath.Join(t.TempDir(), "orders.rec")
	stop, _ := taking(t, TakeOptions{Router: l.remote, Routes: []string{"orders"}, Sample: 1, Files: Files{Path: file, MaxSize: 1 << 20, Keep: 1}})
	l.awaitTaken(t, 0)
	var all []*record.Record
	for i, kind := range slices.Repeat([]string{`{"type":"a"}`, `{"type":"both"}`, `{"type":"no"}`, "bad"}, 25) {
		all = append(all, message("orders", fmt.Sprint(i), kind))
	}
	l.send(t, all)
	l.awaitTaken(t, 100)
	taken, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	want := &Taken{Files: []string{file}, Written: 100, Summary: &record.Summary{Seen: 100, Taken: 100, Why: record.WhyStopped}}
	if diff := cmp.Diff(want, taken); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	r, err := Replay(t.Context(), ReplayOptions{Files: taken.Files, Config: l.config, Limit: 10})
	if err != nil || r.Same != 100 || r.Different != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = Take(t.Context(), TakeOptions{Router: l.remote, Sample: 1, For: time.Millisecond, Files: Files{Path: file, MaxSize: 1 << 20, Keep: 1}})
	if err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Error(err)
	}
}

func TestWhatTheFilterTakesOutIsNotInTheFile(t *testing.T) {
	l := start(t, "bodies = true\ntoken = \"s3cret\"")
	l.remote.Config = l.config
	dir := t.TempDir()
	write(t, dir, "filter.toml", "path = \"stock:context-packer\"\nconfig = { redact = { fields = [\"card\"], mode = \"mask\" } }\n")
	file := filepath.Join(t.TempDir(), "orders.rec")
	stop, _ := taking(t, TakeOptions{Router: l.remote, Sample: 1, Redact: dir, Files: Files{Path: file, MaxSize: 1 << 20, Keep: 1}})
	l.awaitTaken(t, 0)
	l.send(t, []*record.Record{
		message("orders", "1", `{"type":"a","card":"4111"}`), message("orders", "2", "4111 is no JSON"), message("orders", "3", `{"type":"no","card":"4111"}`),
	})
	l.awaitTaken(t, 3)
	taken, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	if taken.Written != 2 || taken.Redacted != 1 || taken.Summary == nil || taken.Summary.Taken != 2 || taken.Summary.Dropped != 1 {
		t.Errorf("%+v, %+v", taken, taken.Summary)
	}
	var bodies []string
	_, err = each(taken.Files, func(_ int, r *record.Record) error {
		bodies = append(bodies, string(r.Received.Body)+r.Decision.Error)
		for _, s := range r.Decision.Sent {
			bodies = append(bodies, string(s.Envelope.Body))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	masked := `{"type":"a","card":"***"}`
	if diff := cmp.Diff([]string{masked, masked, `{"type":"no","card":"***"}`}, bodies); diff != "" {
		t.Error(diff)
	}
}

// What ends before it was asked to, or has nothing in it, is an error that says so.
func TestARecordingThatEndsEarlyIsTold(t *testing.T) {
	l := start(t, "bodies = true")
	dir := t.TempDir()
	begin := func(name string) func() error {
		_, wait := taking(t, TakeOptions{Router: l.remote, Sample: 1, Files: Files{Path: filepath.Join(dir, name), MaxSize: 1 << 20, Keep: 1}})
		l.awaitTaken(t, 0)
		return func() error {
			taken, err := wait()
			if taken.Summary == nil || (len(taken.Files) == 0) != (taken.Written == 0) {
				t.Errorf("%s: %+v", name, taken)
			}
			return err
		}
	}
	tell := func(what string, err error, want ...string) {
		t.Helper()
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, without %q", what, err, w)
			}
		}
	}
	client, err := remote.Open(l.remote)
	if err != nil {
		t.Fatal(err)
	}
	end := begin("ended")
	_, err = Take(t.Context(), TakeOptions{Router: l.remote, Routes: []string{"orders"}, Sample: 1, Files: Files{Path: filepath.Join(dir, "second"), MaxSize: 1 << 20, Keep: 1}})
	tell("a second one", err, "route orders: it is being recorded already; wait until that has ended, or end it: ")
	if err := client.Call(t.Context(), "DELETE", "/api/record/orders", nil, nil); err != nil {
		t.Fatal(err)
	}
	tell("ended by another", end(), "ended early: another caller of the admin listener ended it", ErrNothing.Error())
	end = begin("stopped")
	l.send(t, []*record.Record{message("orders", "1", `{"type":"a"}`)})
	l.awaitTaken(t, 1)
	l.stop(t)
	err = end()
	tell("the router stops", err, "ended early: the router or its reader stopped")
	if errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if _, err := Take(t.Context(), TakeOptions{Router: l.remote}); !errors.Is(err, remote.ErrNobody) {
		t.Error(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if diff := cmp.Diff([]string{filepath.Join(dir, "stopped")}, names); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// A reload that forbids what recordings hold ends them, and says why.
func TestAReloadThatForbidsBodiesEndsRecordings(t *testing.T) {
	l := start(t, "bodies = true")
	_, wait := taking(t, TakeOptions{Router: l.remote, Sample: 1, Files: Files{Path: filepath.Join(t.TempDir(), "r"), MaxSize: 1 << 20, Keep: 1}})
	l.awaitTaken(t, 0)
	text, err := os.ReadFile(l.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.config, bytes.Replace(text, []byte("bodies = true"), []byte("bodies = false"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := remote.Open(l.remote)
	if err != nil {
		t.Fatal(err)
	}
	var all []record.Status
	if err := client.Call(t.Context(), "GET", "/api/record", nil, &all); err != nil || len(all) > 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	taken, err := wait()
	if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "ended early: a reload has set admin.bodies = false") || taken.Summary == nil || taken.Summary.Why != "a reload has set admin.bodies = false" {
		t.Errorf("%+v, %v", taken, err)
	}
	l.stop(t)
	if log := l.log.String(); !strings.Contains(log, "recordings were ended") || !strings.Contains(log, `"why":"a reload has set admin.bodies = false"`) {
		t.Error(log)
	}
}

// stub is a router that answers one recording with what it is given until the
// recording is to be ended.
func stub(t *testing.T, stream func(w io.Writer)) remote.Options {
	t.Helper()
	over := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("DELETE /api/record/{route}", func(http.ResponseWriter, *http.Request) { close(over) })
	mux.HandleFunc("POST /api/record", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-over
		stream(w)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return remote.Options{Address: s.URL}
}

// What cannot be written is told, also when the recording is to end.
func TestAWriteErrorAtTheEndIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	router := stub(t, func(w io.Writer) {
		write(t, filepath.Dir(path), "r.1", "another's") // in the way of a full file
		var blocks record.Blocks
		_, _ = io.WriteString(w, record.Header)
		for range 2 {
			if _, err := blocks.Add(message("orders", "1", strings.Repeat("x", 1<<10))); err != nil {
				t.Error(err)
			}
			_, _ = w.Write(blocks.Take())
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	taken, err := Take(ctx, TakeOptions{Router: router, Routes: []string{"orders"}, Sample: 1, Files: Files{Path: path, MaxSize: 1, Keep: 2}})
	if err == nil || !strings.Contains(err.Error(), "r.1 is there already") {
		t.Errorf("%+v, %v", taken, err)
	}
	if text, err := os.ReadFile(path + ".1"); err != nil || string(text) != "another's" {
		t.Errorf("%q, %v", text, err)
	}
}

// A recording that breaks off when it was to end is kept if there is something in
// it, and is no whole one.
func TestARecordingThatIsCutAtTheEndIsKept(t *testing.T) {
	for n := range 2 {
		router := stub(t, func(w io.Writer) {
			var blocks record.Blocks
			_, _ = io.WriteString(w, record.Header)
			for range n {
				if _, err := blocks.Add(message("orders", "1", "x")); err != nil {
					t.Error(err)
				}
				_, _ = w.Write(blocks.Take())
			}
		})
		path := filepath.Join(t.TempDir(), "r")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		taken, err := Take(ctx, TakeOptions{Router: router, Routes: []string{"orders"}, Sample: 1, Files: Files{Path: path, MaxSize: 1, Keep: 1}})
		if err == nil || !strings.Contains(err.Error(), "the recording was cut, its last messages may be missing") || errors.Is(err, ErrNothing) != (n == 0) || taken.Summary != nil {
			t.Errorf("%+v, %v", taken, err)
		}
		if _, err := os.Stat(path); (err == nil) != (n > 0) {
			t.Errorf("%d messages: %v", n, err)
		}
	}
}

func TestWhatIsThereIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "r.2", "earlier")
	write(t, dir, "r.02", "not a name of the recording's")
	_, err := create(Files{Path: filepath.Join(dir, "r"), MaxSize: 1, Keep: 3})
	if want := filepath.Join(dir, "r.2") + " is there already; name another file, or move it away"; err == nil || err.Error() != want {
		t.Error(err)
	}
	f, err := create(Files{Path: filepath.Join(dir, "r"), MaxSize: 1, Keep: 2}) // which has no .2
	if err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
}

func TestBodiesLeaveTheRouterOnlyIfThatIsPermitted(t *testing.T) {
	l := start(t, "")
	file := filepath.Join(t.TempDir(), "r")
	_, err := Take(t.Context(), TakeOptions{Router: l.remote, Sample: 1, Files: Files{Path: file, MaxSize: 1 << 20, Keep: 1}})
	if refused, ok := errors.AsType[*remote.Error](err); !ok || refused.Code != http.StatusForbidden || !strings.Contains(err.Error(), "admin.bodies = true") {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made", err)
	}
}

func TestARecordingIsBoundedByItsFiles(t *testing.T) {
	const most, keep = 100 << 10, 3
	path := filepath.Join(t.TempDir(), "r")
	f, err := create(Files{Path: path, MaxSize: most, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 30<<10)
	for i := range 40 {
		for j := range body {
			body[j] = byte(rand.Uint32()) // nothing that gets smaller
		}
		if err := f.add(message("r", fmt.Sprint(i), string(body))); err != nil {
			t.Fatal(err)
		}
		if err := f.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{path + ".2", path + ".1", path}, f.names()); diff != "" {
		t.Error(diff)
	}
	var ids []string
	for _, name := range f.names() {
		info, err := os.Stat(name)
		if err != nil || info.Size() > most || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	torn, err := each(f.names(), func(_ int, r *record.Record) error { ids = append(ids, r.Received.MessageID); return nil })
	if err != nil || len(torn) > 0 {
		t.Fatal(torn, err)
	}
	// Three of 30 KiB each fit a file; the last file has what is left of forty.
	if diff := cmp.Diff([]string{"33", "34", "35", "36", "37", "38", "39"}, ids); diff != "" {
		t.Error(diff)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != keep {
		t.Error(entries, err)
	}
}
