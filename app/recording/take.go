// Package recording takes recordings of running routers into files, and uses them:
// it holds them against configurations, makes cases of them, and sends what is in
// them again.
package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/remote"
	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/config"
)

// TakeOptions say what to record, and where to.
type TakeOptions struct {
	Router remote.Options
	Routes []string      // none are all
	Sample float64       // the share of messages
	For    time.Duration // 0 is until ctx ends
	Redact string        // a filter that each message passes before it is written; "" is none
	Files  Files
	Logger *slog.Logger // gets what the filter logs
	// Progress, if set, is told now and then how many records were written.
	Progress func(written uint64)
}

// Taken is what came of a recording.
type Taken struct {
	Files    []string        `json:"files"`
	Written  uint64          `json:"written"`
	Redacted uint64          `json:"redacted"` // left out because the filter failed on them or dropped them
	Summary  *record.Summary `json:"summary"`  // nil when it was cut
}

// nothing says why there is no message.
func (t *Taken) nothing() error {
	switch {
	case t.Redacted > 0:
		return fmt.Errorf("%w: the filter of --redact dropped every message, or failed on it", ErrNothing)
	case t.Summary != nil && t.Summary.Seen > 0:
		return fmt.Errorf("%w: none of %d messages could be written fast enough", ErrNothing, t.Summary.Seen)
	}
	return fmt.Errorf("%w: no message of the routes that was to be recorded was settled meanwhile", ErrNothing)
}

// request is what POST /api/record takes.
type request struct {
	Routes []string        `json:"routes"`
	Sample float64         `json:"sample"`
	For    config.Duration `json:"for"`
}

// ErrNothing is wrapped by the error of [Take] when there was no message.
var ErrNothing = errors.New("nothing was recorded")

// Take records until the time is over or ctx ends. What has been recorded when it
// ends early, or without a word of the router how it ended, is returned with the
// error. There is no file where nothing was recorded: then the error wraps
// ErrNothing.
func Take(ctx context.Context, o TakeOptions) (*Taken, error) {
	client, err := remote.Open(o.Router)
	if err != nil {
		return nil, err
	}
	var red *redactor
	if o.Redact != "" {
		if red, err = newRedactor(ctx, o.Redact, o.Logger); err != nil {
			return nil, err
		}
		defer red.close(context.WithoutCancel(ctx))
	}
	// The router ends the recording when it is asked to: then it writes what is
	// left, and a summary.
	stream, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	body, err := client.Stream(stream, "POST", "/api/record", request{o.Routes, o.Sample, config.Duration(o.For)})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	files, err := create(o.Files)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { finish(client, o.Routes, cut) })()
	t := &Taken{}
	err = t.copy(ctx, record.NewReader(body), files, red, o.Progress)
	err = errors.Join(err, files.close())
	t.Files = files.names()
	if t.Written > 0 {
		return t, err
	}
	for _, name := range t.Files { // it would be in the way of the next attempt
		err = errors.Join(err, os.Remove(name))
	}
	t.Files = []string{}
	return t, errors.Join(err, t.nothing())
}

// finishTimeout is how long the router gets to end a recording in order.
const finishTimeout = 5 * time.Second

// finish has the router end the recording, and cuts it if that does not help.
func finish(client *remote.Client, routes []string, cut func()) {
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	if len(routes) == 0 {
		var all []record.Status
		if client.Call(ctx, "GET", "/api/record", nil, &all) == nil && len(all) == 1 {
			routes = all[0].Routes
		}
	}
	if len(routes) == 0 || client.Call(ctx, "DELETE", "/api/record/"+url.PathEscape(routes[0]), nil, nil) != nil {
		cut()
		return
	}
	time.AfterFunc(finishTimeout, cut)
}

// early is the error of a recording that ended although neither its time was over
// nor whoever has it asked for that.
func early(ctx context.Context, why string) error {
	switch {
	case ctx.Err() != nil || why == record.WhyOver:
		return nil
	case why == record.WhyStopped:
		why = "another caller of the admin listener ended it"
	}
	return fmt.Errorf("the recording ended early: %s", workbench.OneLine(why))
}

// copy writes every record, and the summary at the end.
func (t *Taken) copy(ctx context.Context, in *record.Reader, out *files, red *redactor, progress func(uint64)) error {
	for {
		r, err := in.Next()
		if errors.Is(err, io.EOF) && in.Summary() != nil {
			t.Summary = in.Summary()
			t.Summary.Taken -= t.Redacted
			t.Summary.Dropped += t.Redacted
			return errors.Join(out.summary(*t.Summary), early(ctx, t.Summary.Why))
		}
		if err != nil {
			return fmt.Errorf("the recording was cut, its last messages may be missing: the router stopped, or did not end it in time: %w", err)
		}
		if red != nil && !red.redact(ctx, r) {
			t.Redacted++
			continue
		}
		if err := out.add(r); err != nil {
			return err
		}
		t.Written++
		if !in.Buffered() {
			err = out.flush() // the router sends what is a second old
		}
		if err != nil {
			return err
		}
		if progress != nil && t.Written%256 == 0 {
			progress(t.Written)
		}
	}
}
