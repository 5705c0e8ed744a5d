package otlp_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/wasmrouter/router/internal/otlptest"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/telemetry/otlp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTracesAreMadeWhenAskedFor(t *testing.T) {
	at := otlp.Config{Endpoint: "http://127.0.0.1:4318"}
	for name, test := range map[string]struct {
		cfg  otlp.Config
		env  map[string]string
		want bool
		err  string
	}{
		"nobody asks":                  {},
		"the configuration":            {cfg: at, want: true},
		"the environment":              {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, want: true},
		"the traces' own":              {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, want: true},
		"the default endpoint":         {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, want: true},
		"switched off":                 {cfg: at, env: map[string]string{"OTEL_SDK_DISABLED": "TRUE"}},
		"no exporter":                  {cfg: at, env: map[string]string{"OTEL_TRACES_EXPORTER": "none"}},
		"another exporter":             {env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, err: "OTEL_TRACES_EXPORTER"},
		"another protocol":             {cfg: at, env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, err: "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"the traces' own is good":      {cfg: at, env: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, want: true},
		"unknown propagator":           {cfg: at, env: map[string]string{"OTEL_PROPAGATORS": "tracecontext,b3"}, err: "OTEL_PROPAGATORS"},
		"propagators":                  {cfg: at, env: map[string]string{"OTEL_PROPAGATORS": "tracecontext, baggage"}, want: true},
		"no URL":                       {cfg: otlp.Config{Endpoint: "127.0.0.1:4318"}, err: "http://HOST:PORT"},
		"no header":                    {cfg: otlp.Config{Endpoint: at.Endpoint, Headers: "a secret"}, err: "header 1"},
		"no header in the environment": {cfg: at, env: map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "Authorization Bearer secret"}, err: "OTEL_EXPORTER_OTLP_HEADERS: header 1"},
		"no header of the traces' own": {cfg: at, env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=b,secret"}, err: "OTEL_EXPORTER_OTLP_TRACES_HEADERS: header 2"},
		"no URL in the environment":    {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:secret@127.0.0.1:1:2/%zz"}, err: "OTEL_EXPORTER_OTLP_ENDPOINT: the endpoint"},
		"no URL of the traces' own":    {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "secret:4318"}, err: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: the endpoint"},
		"no authorities":               {cfg: otlp.Config{Endpoint: at.Endpoint, CAFile: "/nowhere/ca.pem"}, err: "/nowhere/ca.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			e, err := otlp.Open(t.Context(), test.cfg)
			switch {
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret")):
				t.Errorf("error %v, want one with %s", err, test.err)
			case test.err == "" && err != nil:
				t.Error(err)
			case (e != nil) != test.want:
				t.Errorf("an exporter: %t", e != nil)
			}
			if e != nil {
				if err := e.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// follow has a span made, and sent.
func follow(t *testing.T, e *otlp.Exporter) {
	t.Helper()
	env := router.NewEnvelope(nil, nil)
	e.Publish(t.Context(), "publish", router.Target{Kind: router.TargetQueue, Queue: "q"}, &env)(nil)
	if err := e.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}

// A receiver that takes nothing costs spans, which are counted, and two lines of
// the log: one when it begins, one when it is over.
func TestLostSpansAreCounted(t *testing.T) {
	collector := otlptest.New(t)
	var log bytes.Buffer
	e, err := otlp.Open(t.Context(), otlp.Config{
		Endpoint: collector.URL + "/v1/traces", ServiceName: "s", Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	collector.Refuse(400)
	follow(t, e)
	follow(t, e)
	collector.Refuse(0)
	follow(t, e)
	follow(t, e)
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(otlp.Stat{Ended: 4, Sent: 2, Failed: 2}, e.Stat()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if spans := collector.Spans(); len(spans) != 2 || spans[0].Service != "s" || spans[0].Name != "publish q" {
		t.Errorf("%+v", spans)
	}
	if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[0], "WARN") || !strings.Contains(lines[1], "lost=2") {
		t.Errorf("log:\n%s", &log)
	}
}

// What the configuration does not say the environment does.
func TestTheEnvironmentSaysTheRest(t *testing.T) {
	collector := otlptest.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=from%20env")
	t.Setenv("OTEL_SERVICE_NAME", "named")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	for _, oneIn := range []int{0, 1} { // 0 is left to the environment
		e, err := otlp.Open(t.Context(), otlp.Config{SampleOneIn: oneIn})
		if err != nil {
			t.Fatal(err)
		}
		follow(t, e)
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := e.Stat().Sent; got != uint64(oneIn) {
			t.Errorf("with one in %d: %d spans", oneIn, got)
		}
	}
	if spans := collector.Spans(); len(spans) != 1 || spans[0].Service != "named" {
		t.Errorf("%+v", spans)
	}
	if h := collector.Headers(); len(h) != 1 || h[0].Get("X-Key") != "from env" {
		t.Errorf("%v", h)
	}
}

func TestAuthoritiesAreCertificates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := otlp.Open(t.Context(), otlp.Config{Endpoint: "https://127.0.0.1:4318", CAFile: path}); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Error(err)
	}
}
