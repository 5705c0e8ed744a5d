package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// soldOut says how callers see it.
type soldOut struct{ left int }

func (e *soldOut) Error() string { return fmt.Sprintf("%d left in /srv/shop.db", e.left) }
func (e *soldOut) RemoteError() *rpc.RemoteError {
	return &rpc.RemoteError{Class: "SoldOut", Module: "shop.errors", Message: "none left", Args: oslo.Raw(`["none left"]`), Kwargs: oslo.Raw(fmt.Sprintf(`{"left": %d}`, e.left))}
}

type shy struct{}

func (shy) Error() string                 { return "shy" }
func (shy) RemoteError() *rpc.RemoteError { return nil }

func TestErrorsSayHowCallersSeeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		var next error
		serve(t, b, func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Reply{}, next })
		c := newClient(t, b)
		for _, x := range []struct {
			err  error
			want rpc.RemoteError
		}{
			{errors.New("plain"), rpc.RemoteError{Class: "ServerError", Module: "wasmrouter.rpc", Message: "plain", Args: oslo.Raw(`["plain"]`), Kwargs: oslo.Raw(`{}`)}},
			{&soldOut{3}, rpc.RemoteError{Class: "SoldOut", Module: "shop.errors", Message: "none left", Args: oslo.Raw(`["none left"]`), Kwargs: oslo.Raw(`{"left": 3}`)}},
			{fmt.Errorf("reserve: %w", &soldOut{4}), rpc.RemoteError{Class: "SoldOut", Module: "shop.errors", Message: "none left", Args: oslo.Raw(`["none left"]`), Kwargs: oslo.Raw(`{"left": 4}`)}},
			{shy{}, rpc.RemoteError{Class: "ServerError", Module: "wasmrouter.rpc", Message: "shy", Args: oslo.Raw(`["shy"]`), Kwargs: oslo.Raw(`{}`)}},
			{
				fmt.Errorf("further on: %w", &rpc.RemoteError{Class: "X_Remote", Module: "m_Remote", Message: "far", Traceback: []string{"line\n"}, Args: oslo.Raw(`[1.0, "x"]`)}),
				rpc.RemoteError{Class: "X", Module: "m", Message: "far", Traceback: []string{"line\n"}, Args: oslo.Raw(`[1.0, "x"]`), Kwargs: oslo.Raw(`{}`)},
			},
		} {
			next = x.err
			_, err := c.Call(t.Context(), shop, rpc.Request{Method: "m"})
			got, ok := errors.AsType[*rpc.RemoteError](err)
			if !ok {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x.want, *got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", x.err, diff)
			}
		}
	})
}

func TestWhatIsExpectedIsLoggedQuietly(t *testing.T) {
	sentinel := errors.New("the shop is closed")
	for _, x := range []struct {
		method string
		err    error
		want   string
	}{
		{"m", fmt.Errorf("now: %w", sentinel), `level=DEBUG msg="request failed as expected" method=m err="now: the shop is closed"`},
		{"m", fmt.Errorf("now: %w", &soldOut{1}), `level=DEBUG msg="request failed as expected" method=m err="now: 1 left in /srv/shop.db"`},
		{"m", &rpc.RemoteError{Class: "Busy"}, `level=DEBUG msg="request failed as expected" method=m err="remote error: Busy"`},
		{"m", errors.New("teapot"), `level=DEBUG msg="request failed as expected" method=m err=teapot`},
		{"probe_ignore_errors", errors.New("any"), `level=DEBUG msg="request failed as expected" method=probe_ignore_errors err=any`},
		{"m", errors.New("any"), `level=WARN msg="request failed" method=m queue=shop err=any`},
		{"m", rpc.NoSuchMethod("m"), `level=WARN msg="request refused" method=m queue=shop err="remote error: NoSuchMethod: Endpoint does not support RPC method m"`},
		{"m", rpc.BadArguments("no"), `level=WARN msg="request refused" method=m queue=shop err="remote error: TypeError: no"`},
		{"m", fmt.Errorf("x: %w", rpc.UnsupportedVersion("9.9", "m")), `level=WARN msg="request refused" method=m queue=shop err="x: remote error: UnsupportedVersion: Endpoint does not support RPC version 9.9. Attempted method: m"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker("shop", "replies")
			var log bytes.Buffer
			_, stop := serve(t, b, func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Reply{}, x.err }, func(c *rpc.ServerConfig) {
				c.Workers = 1
				c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				}}))
				c.Expected = []rpc.Expectation{
					rpc.ExpectIs(sentinel, &rpc.RemoteError{Class: "Busy"}),
					rpc.ExpectAs[*soldOut](),
					func(err error) bool { return err.Error() == "teapot" },
				}
			})
			for i := range 3 {
				b.put("shop", request(fmt.Sprint(i), "replies", func(r *oslo.Request) { r.Method = x.method }))
			}
			synctest.Wait()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			want := strings.Repeat(x.want+"\n", 3)
			if strings.Contains(x.want, "refused") { // anybody can cause it, so that it is told seldom
				want = x.want + "\n"
			}
			if diff := cmp.Diff(want, log.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := len(b.queues["replies"]); n != 3 {
				t.Errorf("%d replies", n)
			}
		})
	}
}

func TestAPanicTellsTheLogAndNotTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop", "replies")
		var log bytes.Buffer
		s, stop := serve(t, b, func(context.Context, *rpc.Incoming) (rpc.Reply, error) { panic("a secret") },
			func(c *rpc.ServerConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		b.put("shop", request("1", "replies"))
		b.put("shop", request("", ""))
		synctest.Wait()
		b.put("shop", request("2", "replies"))
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "\n"); n != 3 || strings.Count(log.String(), "a secret") != 3 || !strings.Contains(log.String(), "failure_test.go") {
			t.Errorf("%d lines:\n%s", n, &log)
		}
		if st := s.Stat(); st.Panics != 3 || st.Failed != 3 || st.Replies != 2 {
			t.Errorf("%+v", st)
		}
		for _, env := range b.messages(router.Target{Kind: router.TargetQueue, Queue: "replies"}.String()) {
			if text := string(env.Body); strings.Contains(text, "secret") || strings.Contains(text, ".go") {
				t.Error(text)
			}
		}
	})
}

func TestHandlersKnowTheirRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker("shop")
		serve(t, b, func(ctx context.Context, in *rpc.Incoming) (rpc.Reply, error) {
			if rpc.IncomingFrom(ctx) != in {
				return rpc.Reply{}, errors.New("another request")
			}
			return rpc.Result(rpc.IncomingFrom(ctx).Context["user"])
		})
		got, err := newClient(t, b).Call(t.Context(), shop, rpc.Request{Method: "m", Context: map[string]any{"user": "u1"}})
		if err != nil || string(got.Payload) != `"u1"` || rpc.IncomingFrom(t.Context()) != nil {
			t.Errorf("%s, %v", got.Payload, err)
		}
	})
}
