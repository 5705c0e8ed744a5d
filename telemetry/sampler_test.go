package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/telemetry"
)

func TestRepeatedLinesAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf bytes.Buffer
		sampler := telemetry.NewSampler(slog.NewTextHandler(&buf, nil))
		log := slog.New(sampler)
		one, two := log.With("route", "one"), log.With("route", "two")
		for i := range 100 { // the error differs, what it is about does not
			one.Warn("failed", "err", errors.New(strconv.Itoa(i)))
			two.Warn("failed", "err", errors.New(strconv.Itoa(i)))
		}
		for i := range 15 {
			log.Info("hello", "queue", strconv.Itoa(i))
		}
		log.Debug("not enabled")
		if diff := cmp.Diff(telemetry.LogStat{Info: 15, Warn: 20, Suppressed: 180}, sampler.Stat()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		time.Sleep(time.Second)
		buf.Reset()
		one.Warn("failed")
		one.Warn("failed")
		one.Error("failed")
		lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
		if len(lines) != 3 || !strings.HasSuffix(lines[0], "suppressed=90") || strings.Contains(lines[1]+lines[2], "suppressed") {
			t.Errorf("%q", lines)
		}
	})
}

// However many kinds of lines there are, what is remembered is bounded, and what
// is not remembered is written.
func TestManyKindsOfLinesAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sampler := telemetry.NewSampler(slog.NewTextHandler(new(bytes.Buffer), nil))
		log := slog.New(sampler)
		for i := range 5000 {
			log.Info(strconv.Itoa(i % 2500))
		}
		if s := sampler.Stat(); s.Info != 5000 || s.Suppressed != 0 {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		for range 20 {
			log.Info("again")
		}
		if s := sampler.Stat(); s.Suppressed != 10 {
			t.Errorf("%+v", s)
		}
	})
}
