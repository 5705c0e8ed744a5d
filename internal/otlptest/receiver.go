// Package otlptest receives traces in tests, as an OpenTelemetry collector does:
// OTLP over HTTP, in protocol buffers.
package otlptest

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	v1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it arrived.
type Span struct {
	Service         string // of the resource
	TraceID, SpanID string // hexadecimal
	Parent          string // SpanID of the parent, "" of a root
	Name            string
	Kind            string // internal, server, client, producer, consumer
	Attributes      map[string]string
	Error           string // of a span with the status error
	Began, Ended    uint64 // unix time in nanoseconds
}

// Receiver is a collector that keeps what it is sent.
type Receiver struct {
	// URL is what an exporter is given as its endpoint.
	URL string

	mu      sync.Mutex // protects the fields below
	spans   []Span
	headers []http.Header
	refuse  int // the status of answers, 0 takes everything
}

// New returns a receiver that is closed when the test ends.
func New(tb testing.TB) *Receiver {
	tb.Helper()
	r := &Receiver{}
	srv := httptest.NewServer(r)
	tb.Cleanup(srv.Close)
	r.URL = srv.URL
	return r
}

// Refuse has all further requests answered with a status; 0 takes them again.
func (r *Receiver) Refuse(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = status
}

// Spans returns what has arrived so far, in the order in which the spans began.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.spans)
	slices.SortStableFunc(list, func(a, b Span) int {
		switch {
		case a.Began < b.Began:
			return -1
		case a.Began > b.Began:
			return 1
		}
		return 0
	})
	return list
}

// Headers returns the headers of all requests so far.
func (r *Receiver) Headers() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.headers)
}

// ServeHTTP implements [http.Handler]. What is no request of the protocol is
// refused.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	spans, err := read(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = append(r.headers, req.Header.Clone())
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case r.refuse != 0:
		http.Error(w, "refused", r.refuse)
		return
	}
	r.spans = append(r.spans, spans...)
	answer, _ := proto.Marshal(&collector.ExportTraceServiceResponse{}) // nothing in it can fail
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func read(req *http.Request) ([]Span, error) {
	if req.Method != http.MethodPost || req.URL.Path != "/v1/traces" || req.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("%s %s %s is no export of traces", req.Method, req.URL.Path, req.Header.Get("Content-Type"))
	}
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var export collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &export); err != nil {
		return nil, err
	}
	var spans []Span
	for _, rs := range export.GetResourceSpans() {
		service := attributes(rs.GetResource().GetAttributes())["service.name"]
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				spans = append(spans, span(service, s))
			}
		}
	}
	return spans, nil
}

func span(service string, s *v1.Span) Span {
	out := Span{
		Service: service, TraceID: hex.EncodeToString(s.GetTraceId()), SpanID: hex.EncodeToString(s.GetSpanId()),
		Parent: hex.EncodeToString(s.GetParentSpanId()), Name: s.GetName(),
		Kind:       strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_")),
		Attributes: attributes(s.GetAttributes()), Began: s.GetStartTimeUnixNano(), Ended: s.GetEndTimeUnixNano(),
	}
	if s.GetStatus().GetCode() == v1.Status_STATUS_CODE_ERROR {
		out.Error = s.GetStatus().GetMessage()
	}
	return out
}

func attributes(list []*common.KeyValue) map[string]string {
	out := make(map[string]string, len(list))
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			out[kv.GetKey()] = v.StringValue
		case *common.AnyValue_IntValue:
			out[kv.GetKey()] = fmt.Sprint(v.IntValue)
		case *common.AnyValue_BoolValue:
			out[kv.GetKey()] = fmt.Sprint(v.BoolValue)
		default:
			out[kv.GetKey()] = kv.GetValue().String()
		}
	}
	return out
}

// Tree writes the spans below their parents, in the order in which they began, a
// line each: what about says, kind and name.
func Tree(spans []Span, about ...func(Span) string) string {
	var b strings.Builder
	var below func(parent, indent string)
	below = func(parent, indent string) {
		for _, s := range spans {
			if s.Parent != parent {
				continue
			}
			b.WriteString(indent)
			for _, f := range about {
				b.WriteString(f(s) + " ")
			}
			b.WriteString(s.Kind + " " + s.Name + "\n")
			below(s.SpanID, indent+"  ")
		}
	}
	below("", "")
	return b.String()
}
