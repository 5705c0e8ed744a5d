package admin

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OpenAPI describes every endpoint of the listener. It is served at
// /api/openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Endpoint is one operation of the API: JSON in, JSON out. Each has its place in
// openapi.yaml too. Web pages of others cannot call it, and where there is a
// token nobody can without.
type Endpoint struct {
	// Pattern is "METHOD /api/PATH" with {parameters}, as [http.ServeMux] takes
	// it. A parameter stands for what is between two slashes, unescaped: "%2F"
	// in a request is a slash in its value.
	Pattern string
	// Query names the query parameters that there may be. A request with any
	// other is refused, as it would otherwise do more than it was meant to.
	Query []string
	// MaxBody is how many bytes of body are read; 0 is 64 KiB.
	MaxBody int64
	// Do answers. It is called concurrently, and ctx ends when the client leaves.
	// The answer is sent as JSON with code 200; nil is {"status":"ok"}. An error
	// is sent as {"error": its text}, with the code that [Refuse] gave it, or 500.
	Do func(ctx context.Context, r *Request) (any, error)
	// Stream answers in place of Do, with bytes of the type MediaType, for as long
	// as it takes. Each Write is sent at once, and fails if the client does not
	// take it for a minute. An error before the first Write is answered as one of
	// Do; a later one cuts the connection, so that the client does not take what
	// it has for the whole.
	Stream    func(ctx context.Context, r *Request, w io.Writer) error
	MediaType string
}

// Get is an endpoint without parameters that answers with what get returns; nil
// is what this router has not.
func Get(name string, get func() any) Endpoint {
	return Endpoint{Pattern: "GET /api/" + name, Do: func(context.Context, *Request) (any, error) {
		if v := get(); v != nil {
			return v, nil
		}
		return nil, Refuse(http.StatusNotFound, "this router has no %s of its own", name)
	}}
}

// Request is one request to an endpoint.
type Request struct {
	http  *http.Request
	query url.Values
}

// Path returns the parameter of that name in the pattern.
func (r *Request) Path(name string) string { return r.http.PathValue(name) }

// Query returns the query parameter of that name, "" if there is none.
func (r *Request) Query(name string) string { return r.query.Get(name) }

// Int returns the query parameter of that name as a number, or or if there is
// none. Its error, for what is not a number from least to most, is the client's.
func (r *Request) Int(name string, or, least, most int) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return or, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, Refuse(http.StatusBadRequest, "%s is %q; it is a number from %d to %d", name, text, least, most)
	}
	return n, nil
}

// Body decodes the body into what v points to. No body leaves it as it is. Its
// error, for what is not JSON or holds what v has no place for, is the client's.
func (r *Request) Body(v any) error {
	text, err := io.ReadAll(r.http.Body)
	if err != nil {
		if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return Refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", tooLong.Limit)
		}
		return Refuse(http.StatusBadRequest, "reading the body: %w", err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return Refuse(http.StatusBadRequest, "the body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Refuse(http.StatusBadRequest, "the body: something follows the JSON value")
	}
	return nil
}

// refusal is an error that is answered with a code of its own.
type refusal struct {
	code int
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// Refuse returns an error, made as by [fmt.Errorf], that an endpoint answers with
// the HTTP status code.
func Refuse(code int, format string, args ...any) error {
	return &refusal{code, fmt.Errorf(format, args...)}
}

// endpoint serves e.
func endpoint(e Endpoint) http.HandlerFunc {
	most := e.MaxBody
	if most == 0 {
		most = maxBodyBytes
	}
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, most)
		query, err := e.parameters(r)
		var v any
		switch {
		case err != nil:
		case e.Stream != nil:
			out := &stream{w: w, control: http.NewResponseController(w), media: e.MediaType}
			if err = e.Stream(r.Context(), &Request{r, query}, out); err == nil {
				return
			}
			if out.began {
				panic(http.ErrAbortHandler)
			}
		default:
			v, err = e.Do(r.Context(), &Request{r, query})
		}
		switch {
		case err != nil:
			code := http.StatusInternalServerError
			if refused, ok := errors.AsType[*refusal](err); ok {
				code = refused.code
			}
			answer(w, r, code, status{Error: err.Error()})
		case v == nil:
			answer(w, r, http.StatusOK, status{Status: "ok"})
		default:
			sendJSON(w, http.StatusOK, v)
		}
	}
}

// streamTimeout is how long a client may take to accept one Write of a stream.
const streamTimeout = time.Minute

// stream sends what is written to it at once.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	media   string
	began   bool
}

// Write implements [io.Writer].
func (s *stream) Write(b []byte) (int, error) {
	if !s.began {
		s.began = true
		s.w.Header().Set("Content-Type", s.media)
	}
	// The server's deadline for writing is for what is answered at once. Its deadline for
	// reading is over when the request has been read.
	if err := s.control.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
		return 0, err
	}
	n, err := s.w.Write(b)
	if err == nil {
		err = s.control.Flush()
	}
	return n, err
}

// parameters returns the query of r, each parameter once and known.
func (e *Endpoint) parameters(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, Refuse(http.StatusBadRequest, "the query: %w", err)
	}
	for name, values := range query {
		if !slices.Contains(e.Query, name) {
			known := "it takes none"
			if len(e.Query) > 0 {
				known = "there are " + strings.Join(e.Query, ", ")
			}
			return nil, Refuse(http.StatusBadRequest, "there is no parameter %q; %s", name, known)
		}
		if len(values) > 1 {
			return nil, Refuse(http.StatusBadRequest, "the parameter %q is there more than once", name)
		}
	}
	return query, nil
}

// sendJSON writes v, or an error with code 500 if it holds what JSON has not.
func sendJSON(w http.ResponseWriter, code int, v any) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		code = http.StatusInternalServerError
		text.Reset()
		_ = e.Encode(status{Error: "the answer cannot be written as JSON: " + strings.TrimPrefix(err.Error(), "json: ")})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text.Bytes()) // or the client has gone
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(OpenAPI)
}
