package workbench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/wasmrouter/router/router"
)

// RunOptions say what Run takes and where it puts what comes of it.
type RunOptions struct {
	Files  []string       // "-" is Stdin; empty is Stdin alone
	Stdin  io.Reader      //
	Raw    bool           // each file is a body, not messages in JSON
	Stages []router.Stage // to run; empty is all that the filter has
	JSON   bool           // write JSON lines, not text
	Out    io.Writer
}

// Run passes messages through a filter, one after the other, and writes what it
// makes of each, as it comes. It returns how many messages there were and how
// many of them the filter failed on; the error is of the input or the machine.
func (w *Workbench) Run(ctx context.Context, s *Subject, o RunOptions) (messages, failures int, err error) {
	l, err := w.load(ctx, s, nil, false)
	if err != nil {
		return 0, 0, s.refused(err)
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	if len(o.Stages) == 0 {
		o.Stages = stagesOf(l.filter.Stages())
	}
	for _, stage := range o.Stages {
		if !l.filter.Stages().Has(stage) {
			return 0, 0, fmt.Errorf("%s has no %s stage", s.File, stage)
		}
	}
	enc := json.NewEncoder(o.Out)
	enc.SetEscapeHTML(false)
	err = each(ctx, o, func(m *Message) error {
		out, err := try(ctx, l.instance, o.Stages, m)
		if err != nil {
			return err
		}
		messages++
		if out.Err != nil {
			failures++
		}
		v := out.verdict(messages)
		if o.JSON {
			return enc.Encode(v)
		}
		return v.writeText(o.Out)
	})
	return messages, failures, err
}

// each reads the messages of all inputs.
func each(ctx context.Context, o RunOptions, visit func(*Message) error) error {
	files := o.Files
	if len(files) == 0 {
		files = []string{"-"}
	}
	for _, file := range files {
		err := open(file, o.Stdin, func(name string, r io.Reader) error {
			if !o.Raw {
				return eachJSON(ctx, name, r, visit)
			}
			body, err := io.ReadAll(r)
			if err != nil {
				return fmt.Errorf("%s: %w", name, reason(err))
			}
			return visit(&Message{body: body})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func open(file string, stdin io.Reader, use func(name string, r io.Reader) error) error {
	if file == "-" {
		return use("standard input", stdin)
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, reason(err))
	}
	defer f.Close()
	return use(file, f)
}

// eachJSON reads one JSON value after the other, a message each.
func eachJSON(ctx context.Context, name string, r io.Reader, visit func(*Message) error) error {
	d := json.NewDecoder(r)
	for n := 1; ; n++ {
		var raw json.RawMessage
		err := d.Decode(&raw)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%s: message %d: the JSON ends too early", name, n)
		case err != nil:
			return fmt.Errorf("%s: message %d: %w; with --raw a file is one body as it is", name, n, reason(err))
		}
		m, err := ParseMessage(bytes.TrimSpace(raw))
		if err != nil {
			return fmt.Errorf("%s: message %d: %w", name, n, err)
		}
		if err := visit(&m); err != nil {
			return err
		}
	}
}
