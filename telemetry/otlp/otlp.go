// Package otlp brings spans to an OpenTelemetry collector, or whatever else
// listens as one does: OTLP over HTTP. What its [Config] leaves open is up to the
// standard OTEL_* variables of the environment.
package otlp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/wasmrouter/router/telemetry/tracing"
)

// tracesPath is where receivers of OTLP over HTTP take traces.
const tracesPath = "/v1/traces"

// closeTimeout bounds how long Close waits for a receiver that does not answer.
const closeTimeout = 3 * time.Second

// Config says where spans go. What is set here counts; what is not is up to the
// environment, or else OpenTelemetry's default.
type Config struct {
	Endpoint    string // http or https URL; tracesPath is added to it
	Headers     string // NAME=VALUE,…, as in OTEL_EXPORTER_OTLP_HEADERS
	CAFile      string // PEM, authorities to trust instead of the system's
	ServiceName string
	Version     string // of the service
	SampleOneIn int    // of the traces that begin here, one in so many is kept
	Logger      *slog.Logger
}

// Exporter makes spans and sends them, in batches and in the background. What the
// receiver does not take in time is dropped: messages never wait for it.
type Exporter struct {
	*tracing.Tracer
	provider *sdktrace.TracerProvider
	counts   *counts
}

// Wanted reports whether the configuration or the environment asks for traces.
// OTEL_SDK_DISABLED and OTEL_TRACES_EXPORTER=none forbid them in any case.
func Wanted(cfg Config) (bool, error) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	named := cfg.Endpoint != "" || env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	switch exporter := env("OTEL_TRACES_EXPORTER"); exporter {
	case "":
		return named, nil
	case "none":
		return false, nil
	case "otlp":
		return true, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER=%.32q: it is otlp or none", exporter)
	}
}

// Open returns an Exporter, or nil if nothing asks for traces. It does not
// connect: a receiver that is not there is no error.
func Open(ctx context.Context, cfg Config) (*Exporter, error) {
	if wanted, err := Wanted(cfg); err != nil || !wanted {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// Its own logger prints variables as they are, with what is secret in them.
	otel.SetLogger(logr.Discard())
	if err := checkEnvironment(); err != nil {
		return nil, err
	}
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	propagator, err := propagators()
	if err != nil {
		return nil, err
	}
	about, err := describe(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("what OTEL_RESOURCE_ATTRIBUTES says: %w", err)
	}
	// The SDK tells of what it cannot read or send to one handler for the process.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { cfg.Logger.Warn("tracing", "err", err) }))
	sender, err := otlptrace.New(ctx, otlptracehttp.NewClient(opts...))
	if err != nil {
		return nil, fmt.Errorf("exporter of traces: %w", err)
	}
	n := &counts{SpanExporter: sender, log: cfg.Logger}
	settings := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(about),
		sdktrace.WithSpanProcessor(&counting{sdktrace.NewBatchSpanProcessor(n), n}),
	}
	if cfg.SampleOneIn > 0 {
		settings = append(settings, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(1/float64(cfg.SampleOneIn)))))
	}
	provider := sdktrace.NewTracerProvider(settings...)
	return &Exporter{Tracer: tracing.New(provider, propagator), provider: provider, counts: n}, nil
}

// Flush sends what has ended so far, and waits for the answer until ctx ends.
func (e *Exporter) Flush(ctx context.Context) error { return e.provider.ForceFlush(ctx) }

// Close sends what is left, at most until ctx ends and for three seconds. Spans
// that end later are dropped.
func (e *Exporter) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if err := e.provider.Shutdown(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("tracing: %w", err)
	}
	return nil // what a receiver did not take in time is counted as lost
}

// env returns a variable's value without the blanks around it.
func env(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// checkEnvironment reads the variables that may hold secrets as the exporter will,
// which goes on without what it cannot read. No error shows a value.
func checkEnvironment() error {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		if text := env(prefix + "ENDPOINT"); text != "" {
			if _, err := parseEndpoint(text); err != nil {
				return fmt.Errorf("%sENDPOINT: %w", prefix, err)
			}
		}
		if text := env(prefix + "HEADERS"); text != "" {
			if _, err := Headers(text); err != nil {
				return fmt.Errorf("%sHEADERS: %w", prefix, err)
			}
		}
	}
	return nil
}

// parseEndpoint reads a receiver's URL, of which no error shows anything.
func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the endpoint of traces is not http://HOST:PORT or https://HOST:PORT")
	}
	return u, nil
}

// options are the exporter's, of what the configuration sets.
func options(cfg Config) ([]otlptracehttp.Option, error) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if p := env(name); p != "" {
			if p != "http/protobuf" && p != "http/json" {
				return nil, fmt.Errorf("%s=%.32q: traces are sent by http/protobuf; the port for it is mostly 4318", name, p)
			}
			break
		}
	}
	var opts []otlptracehttp.Option
	if cfg.Endpoint != "" {
		u, err := parseEndpoint(cfg.Endpoint)
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(u.Path, tracesPath) {
			u = u.JoinPath(tracesPath)
		}
		opts = append(opts, otlptracehttp.WithEndpointURL(u.String()))
	}
	if cfg.Headers != "" {
		list, err := Headers(cfg.Headers)
		if err != nil {
			return nil, err
		}
		opts = append(opts, otlptracehttp.WithHeaders(list))
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("authorities for traces: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities for traces: %s holds no certificate in PEM", cfg.CAFile)
		}
		opts = append(opts, otlptracehttp.WithTLSClientConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
	}
	return opts, nil
}

// Headers reads NAME=VALUE pairs between commas; values are percent-encoded, as
// OpenTelemetry has it. No error shows a value.
func Headers(text string) (map[string]string, error) {
	list := make(map[string]string)
	for i, pair := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || name == "" || strings.ContainsAny(name, " \t\r\n:") || strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("header %d for traces: write NAME=VALUE, and commas between headers; a value is percent-encoded", i+1)
		}
		list[http.CanonicalHeaderKey(name)] = value
	}
	return list, nil
}

// propagators reads OTEL_PROPAGATORS.
func propagators() (propagation.TextMapPropagator, error) {
	text := env("OTEL_PROPAGATORS")
	if text == "" {
		return tracing.Standard(), nil
	}
	var list []propagation.TextMapPropagator
	for name := range strings.SplitSeq(text, ",") {
		switch name = strings.TrimSpace(name); name {
		case "tracecontext":
			list = append(list, propagation.TraceContext{})
		case "baggage":
			list = append(list, propagation.Baggage{})
		case "none":
		default:
			return nil, fmt.Errorf("OTEL_PROPAGATORS names %.32q; tracecontext, baggage and none are known", name)
		}
	}
	return propagation.NewCompositeTextMapPropagator(list...), nil
}

// describe says who makes the spans.
func describe(ctx context.Context, cfg Config) (*resource.Resource, error) {
	opts := []resource.Option{
		resource.WithSchemaURL(semconv.SchemaURL), resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("router"), semconv.ServiceVersion(cfg.Version)),
		resource.WithFromEnv(),
	}
	if cfg.ServiceName != "" {
		opts = append(opts, resource.WithAttributes(semconv.ServiceName(cfg.ServiceName)))
	}
	return resource.New(ctx, opts...)
}
