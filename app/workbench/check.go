package workbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// CheckReport is what the router would say about a filter before it runs it,
// and how the conformance kit found it.
type CheckReport struct {
	Filter   string   `json:"filter"`
	File     string   `json:"file"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"` // one line each: the file, the cause, the way out

	SHA256 string   `json:"sha256,omitempty"`
	Bytes  int      `json:"bytes,omitempty"`
	Stages []string `json:"stages,omitempty"`

	Conformance []conformance.Finding `json:"-"`
	Passed      int                   `json:"passed"` // conformance checks
	Failed      int                   `json:"failed"`
	Skipped     int                   `json:"skipped"`
}

// Check does what the router does with a filter before the first message: it
// reads filter.toml, checks the pin, exports, imports, grants and limits,
// compiles the module and starts an instance. Then it takes the filter through
// the conformance kit, with its own configuration and with the messages of its
// cases. The error is one of the machine, not of the filter.
func (w *Workbench) Check(ctx context.Context, s *Subject) (*CheckReport, error) {
	r := &CheckReport{Filter: s.Name, File: s.File, Problems: []string{}}
	l, err := w.load(ctx, s, nil, false)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		r.Problems = append(r.Problems, s.refused(err).Error())
		return r, nil
	}
	info := l.filter.Info()
	r.SHA256, r.Bytes = info.SHA256, info.Size
	for _, stage := range stagesOf(l.filter.Stages()) {
		r.Stages = append(r.Stages, stage.String())
	}
	if err := l.close(ctx); err != nil {
		return nil, err
	}
	r.Conformance = w.conformance(ctx, s)
	for _, f := range r.Conformance {
		switch f.Verdict {
		case conformance.Pass:
			r.Passed++
		case conformance.Skip:
			r.Skipped++
		case conformance.Fail:
			r.Failed++
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %s: not true that %s: %s", s.File, f.ID, f.Proves, f.Detail))
		}
	}
	r.OK = len(r.Problems) == 0
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r, nil
}

// refused puts the host's error into words: at the key of filter.toml that is to
// blame, if it is one.
func (s *Subject) refused(err error) error {
	r := app.Refused(s.Name, s.File, err)
	if s.file == nil || r.Key == "path" {
		if r.Key == "config" || r.Key == "stages" {
			return fmt.Errorf("%s: %s: %w", s.File, r.Key, r)
		}
		return r
	}
	return s.file.Errorf([]string{r.Key}, "", "%w", r)
}

func (w *Workbench) conformance(ctx context.Context, s *Subject) conformance.Report {
	fc := app.FilterConfig(s.Name, s.Filter, s.Module)
	limits := patient(fc.Limits)
	g := fc.Grants
	return conformance.Check(ctx, w.host.Engine(limits), s.Module, conformance.CheckOptions{
		Options:  conformance.Options{Name: s.Name, Metrics: g.Metrics, KV: g.KV, Clock: g.Clock, Random: g.Random, Memory: limits.Memory},
		Config:   fc.Config,
		Messages: sampleMessages(s),
	})
}

// patient are limits under which no result depends on the machine: fuel is the
// same everywhere, time is not.
func patient(l wasmhost.Limits) wasmhost.Limits {
	l.Time, l.StartTime = max(l.Time, 10*time.Second), max(l.StartTime, time.Minute)
	return l
}

// sampleMessages are the messages of the subject's cases. Cases that cannot be
// read are for Test to report.
func sampleMessages(s *Subject) []conformance.Message {
	files, err := casesOf(s)
	if err != nil {
		return nil
	}
	var all []conformance.Message
	for _, file := range files {
		c, err := ReadCase(file)
		if err != nil {
			continue
		}
		for i := range c.Steps {
			if env, err := c.Steps[i].Message.Envelope(); err == nil && len(all) < 64 {
				all = append(all, kitMessage(&env))
			}
		}
	}
	return all
}

// kitMessage is a message as the conformance kit has it. Headers that are tables
// are left out: the kit writes its own.
func kitMessage(env *router.Envelope) conformance.Message {
	m := conformance.Message{
		Body: env.Body, Priority: env.Priority, DeliveryMode: env.DeliveryMode, Redelivered: env.Origin.Redelivered,
	}
	for slot, text := range map[int]string{
		conformance.Exchange: env.Origin.Exchange, conformance.RoutingKey: env.Origin.RoutingKey, conformance.Source: env.Origin.Queue,
		conformance.ContentType: env.ContentType, conformance.ContentEncoding: env.ContentEncoding, conformance.CorrelationID: env.CorrelationID,
		conformance.ReplyTo: env.ReplyTo, conformance.MessageID: env.MessageID, conformance.AMQPType: env.Type,
		conformance.AppID: env.AppID, conformance.UserID: env.UserID, conformance.Expiration: env.Expiration,
	} {
		m.Props[slot] = text
	}
	if !env.Timestamp.IsZero() {
		m.Timestamp = env.Timestamp.UnixNano()
	}
	if !env.Origin.Received.IsZero() {
		m.Received = env.Origin.Received.UnixNano()
	}
	headers := env.Headers()
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if v, ok := kitValue(headers[name]); ok {
			m.Headers = append(m.Headers, conformance.Header{Name: name, Value: v})
		}
	}
	return m
}

func kitValue(v any) (conformance.Value, bool) {
	switch v := v.(type) {
	case nil:
		return conformance.Value{}, true
	case string:
		return conformance.TextValue(v), true
	case []byte:
		return conformance.Value{Type: conformance.Bytes, Data: v}, true
	case int64:
		return conformance.IntValue(v), true
	case float64:
		return conformance.FloatValue(v), !math.IsInf(v, 0)
	case bool:
		return conformance.BoolValue(v), true
	case time.Time:
		return conformance.Value{Type: conformance.Time, Data: conformance.IntValue(v.Unix()).Data}, true
	}
	return conformance.Value{}, false
}

// Err returns the problems as one error, a line each; nil when there is none.
func (r *CheckReport) Err() error {
	if r.OK {
		return nil
	}
	return errors.New(strings.Join(r.Problems, "\n"))
}

// WriteText writes what a filter that has no problems is; with findings, each
// check of the conformance kit and how it went.
func (r *CheckReport) WriteText(w io.Writer, findings bool) error {
	if findings {
		if _, err := io.WriteString(w, conformance.Report(r.Conformance).String()); err != nil {
			return err
		}
	}
	if !r.OK {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s: ok, %s, %d bytes, sha256 %s, %d of %d conformance checks apply and pass\n",
		r.File, strings.Join(r.Stages, " "), r.Bytes, r.SHA256, r.Passed, r.Passed+r.Skipped)
	return err
}
