// Package recording takes recordings of running routers into files, and uses them:
// it holds them against configurations, makes cases of them, and sends what is in
// them again.
package recording

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"time"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/app/remote"
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

// request is what POST /api/record takes.
type request struct {
	Routes []string        `json:"routes"`
	Sample float64         `json:"sample"`
	For    config.Duration `json:"for"`
}

// Take records until the time is over, ctx ends, or the router ends the recording,
// of which the summary tells why. The end of ctx is no error; what cannot be written
// is one, then too.
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
	err = errors.Join(t.copy(ctx, record.NewReader(body), files, red, o.Progress), files.close())
	t.Files = files.names()
	return t, err
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

// copy writes every record, and the summary at the end. What is read after the end
// of ctx may break off anywhere: it was cut.
func (t *Taken) copy(ctx context.Context, in *record.Reader, out *files, red *redactor, progress func(uint64)) error {
	for {
		r, err := in.Next()
		switch summary := in.Summary(); {
		case errors.Is(err, io.EOF) && summary != nil:
			summary.Taken -= t.Redacted
			summary.Dropped += t.Redacted
			t.Summary = summary
			return out.summary(*summary)
		case err != nil && ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("the router ended the recording before it was over")
		case err != nil:
			return err
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
