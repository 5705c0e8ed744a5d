package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/admin"
)

func TestEndpointsTakeParametersAndBodies(t *testing.T) {
	type move struct {
		To string `json:"to"`
		N  int    `json:"n"`
	}
	cfg := full()
	cfg.Endpoints = []admin.Endpoint{
		{
			Pattern: "POST /api/boxes/{box}/move", Query: []string{"limit", "kind"}, MaxBody: 40,
			Do: func(_ context.Context, r *admin.Request) (any, error) {
				limit, err := r.Int("limit", 7, 1, 9)
				if err != nil {
					return nil, err
				}
				m := move{To: "nowhere"}
				if err := r.Body(&m); err != nil {
					return nil, err
				}
				switch m.To {
				case "mars":
					return nil, admin.Refuse(http.StatusConflict, "it is full: %w", io.EOF)
				case "venus":
					return nil, errors.New("it is hot")
				case "asia":
					return []any{"a", make(chan int)}, nil
				case "home":
					return nil, nil
				}
				return []any{r.Path("box"), r.Query("kind"), limit, m.To, m.N}, nil
			},
		},
		{Pattern: "DELETE /api/boxes/{box}", Do: func(_ context.Context, r *admin.Request) (any, error) { return r.Path("box"), nil }},
	}
	s := start(t, cfg)
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"POST", "/api/boxes/a/move", "", 200, `["a","",7,"nowhere",0]`},
		{"POST", "/api/boxes/a%2Fb%20%3Cc%3E/move?limit=9&kind=x%26y", `{"to":"moon","n":3}`, 200, `["a/b <c>","x&y",9,"moon",3]`},
		{"POST", "/api/boxes/a/move", `{"to":"home"}`, 200, `{"status":"ok"}`},
		{"POST", "/api/boxes/a/move", `{"to":"mars"}`, 409, `{"error":"it is full: EOF"}`},
		{"POST", "/api/boxes/a/move", `{"to":"venus"}`, 500, `{"error":"it is hot"}`},
		{"POST", "/api/boxes/a/move", `{"to":"asia"}`, 500, `{"error":"the answer cannot be written as JSON: unsupported type: chan int"}`},
		{"POST", "/api/boxes/a/move", `{"too":"mars"}`, 400, `{"error":"the body: unknown field \"too\""}`},
		{"POST", "/api/boxes/a/move", `{"to":"a"} {}`, 400, `{"error":"the body: something follows the JSON value"}`},
		{"POST", "/api/boxes/a/move", `{"to":"` + strings.Repeat("a", 40) + `"}`, 413, `{"error":"the body has more than 40 bytes"}`},
		{"POST", "/api/boxes/a/move?limit=10", "", 400, `{"error":"limit is \"10\"; it is a number from 1 to 9"}`},
		{"POST", "/api/boxes/a/move?limit=all", "", 400, `{"error":"limit is \"all\"; it is a number from 1 to 9"}`},
		{"POST", "/api/boxes/a/move?limt=1", "", 400, `{"error":"there is no parameter \"limt\"; there are limit, kind"}`},
		{"POST", "/api/boxes/a/move?limit=1&limit=2", "", 400, `{"error":"the parameter \"limit\" is there more than once"}`},
		{"DELETE", "/api/boxes/b?all=1", "", 400, `{"error":"there is no parameter \"all\"; it takes none"}`},
		{"DELETE", "/api/boxes/b", "", 200, `"b"`},
		{"DELETE", "/api/boxes/b/move", "", 405, ""},
		{"GET", "/api/boxes/b", "", 405, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+s.Addr()+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		got := strings.TrimSpace(string(text))
		if c.code == http.StatusMethodNotAllowed {
			got = ""
		}
		if resp.StatusCode != c.code || got != c.want {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, resp.StatusCode, got, c.code, c.want)
		}
	}
	want := []string{
		"GET /healthz", "GET /readyz", "GET /metrics", "GET /api/openapi.yaml",
		"POST /api/boxes/{box}/move", "DELETE /api/boxes/{box}", "POST /api/reload", "POST /-/reload",
	}
	if diff := cmp.Diff(want, s.Patterns()); diff != "" {
		t.Errorf("what is served: %s", diff)
	}
}

func TestAStreamIsSentAsItIsWritten(t *testing.T) {
	cfg := full()
	more := make(chan error)
	cfg.Endpoints = []admin.Endpoint{{
		Pattern: "POST /api/flow/{name}", MediaType: "application/x-flow",
		Stream: func(ctx context.Context, r *admin.Request, w io.Writer) error {
			if r.Path("name") == "none" {
				return admin.Refuse(http.StatusNotFound, "there is none")
			}
			if _, err := io.WriteString(w, "first"); err != nil {
				return err
			}
			select {
			case err := <-more:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}}
	s := start(t, cfg)
	open := func(name string) *http.Response {
		resp, err := http.Post("http://"+s.Addr()+"/api/flow/"+name, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	if resp := open("none"); resp.StatusCode != http.StatusNotFound || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d, %v", resp.StatusCode, resp.Header)
	}
	for _, end := range []error{nil, io.ErrClosedPipe} {
		resp := open("x")
		if kind := resp.Header.Get("Content-Type"); kind != "application/x-flow" {
			t.Error(kind)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "first" { // while the endpoint is at work
			t.Errorf("%q, %v", got, err)
		}
		more <- end
		if _, err := io.ReadAll(resp.Body); (err == nil) != (end == nil) {
			t.Errorf("the stream ended with %v, and the client saw %v", end, err)
		}
	}
}
