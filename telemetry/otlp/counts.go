package otlp

import (
	"context"
	"log/slog"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Stat is what became of spans so far. What is in neither Sent nor Failed waits
// to be sent, or was dropped because too many waited.
type Stat struct {
	Ended  uint64 // spans that were made
	Sent   uint64 // that the receiver took
	Failed uint64 // that it did not
}

// Stat returns the counts.
func (e *Exporter) Stat() Stat {
	return Stat{Ended: e.counts.ended.Load(), Sent: e.counts.sent.Load(), Failed: e.counts.failed.Load()}
}

// counts is an exporter that counts, and logs once when the receiver ceases to
// take spans and once when it takes them again.
type counts struct {
	sdktrace.SpanExporter
	log *slog.Logger

	ended, sent, failed atomic.Uint64
	failing             atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter]. A failure is not passed on: it
// would be logged again and again.
func (c *counts) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := c.SpanExporter.ExportSpans(ctx, spans); err != nil {
		c.failed.Add(uint64(len(spans)))
		if !c.failing.Swap(true) {
			c.log.Warn("traces are lost: their receiver does not take them", "err", err)
		}
		return nil
	}
	c.sent.Add(uint64(len(spans)))
	if c.failing.Swap(false) {
		c.log.Info("traces are taken again", "lost", c.failed.Load())
	}
	return nil
}

// counting is a processor that counts what it hands on.
type counting struct {
	sdktrace.SpanProcessor
	counts *counts
}

// OnEnd implements [sdktrace.SpanProcessor].
func (c *counting) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		c.counts.ended.Add(1)
	}
	c.SpanProcessor.OnEnd(s)
}
