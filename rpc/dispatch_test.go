package rpc_test

import (
	"context"
	"errors"
	"testing"

	"github.com/wasmrouter/router/rpc"
)

// says returns a handler that answers with text.
func says(text string) rpc.Handler {
	return func(context.Context, *rpc.Incoming) (rpc.Reply, error) { return rpc.Result(text) }
}

// TestDispatch has the rules of oslo-wire's dispatcher, one a line.
func TestDispatch(t *testing.T) {
	handler := rpc.Dispatch(
		rpc.Endpoint{Methods: map[string]rpc.Handler{"m": says("null 1.0")}},
		rpc.Endpoint{Version: "1.3", Methods: map[string]rpc.Handler{"m": says("shadowed"), "newer": says("null 1.3")}},
		rpc.Endpoint{Namespace: new("ns"), Version: "2.1.4", Methods: map[string]rpc.Handler{"m": says("ns 2.1.4")}},
		rpc.Endpoint{Namespace: new(""), Methods: map[string]rpc.Handler{"m": says("empty 1.0")}},
		rpc.Endpoint{
			Namespace: new("new"), LegacyNamespaces: []*string{new("old"), nil}, Version: "5.0",
			Methods: map[string]rpc.Handler{"m": says("new 5.0"), "nil": nil},
		},
		rpc.Ping(),
	)
	const pong = "pong"
	for _, x := range []struct {
		namespace *string
		version   string
		method    string
		want      string
	}{
		{nil, "", "m", "null 1.0"},
		{nil, "1.0", "m", "null 1.0"},
		{nil, "1.2", "m", "shadowed"},
		{nil, "1.0", "newer", "null 1.3"},
		{nil, "1.4", "m", "UnsupportedVersion: Endpoint does not support RPC version 1.4. Attempted method: m"},
		{nil, "1.0", "other", "NoSuchMethod: Endpoint does not support RPC method other"},
		{new("ns"), "2.0", "m", "ns 2.1.4"},
		{new("ns"), "2.1.4", "m", "ns 2.1.4"},
		{new("ns"), "2.1.5", "m", "UnsupportedVersion: Endpoint does not support RPC version 2.1.5. Attempted method: m"},
		{new("ns"), "", "m", "UnsupportedVersion: Endpoint does not support RPC version 1.0. Attempted method: m"},
		{new(""), "", "m", "empty 1.0"},
		{new("new"), "5.0", "m", "new 5.0"},
		{new("old"), "5.0", "m", "new 5.0"},
		{nil, "5.0", "m", "new 5.0"},
		{new("old"), "5.0", "nil", "NoSuchMethod: Endpoint does not support RPC method nil"},
		{new("older"), "5.0", "m", "UnsupportedVersion: Endpoint does not support RPC version 5.0. Attempted method: m"},
		{nil, "null", "m", "UnsupportedVersion: Endpoint does not support RPC version null. Attempted method: m"},
		{nil, "", rpc.PingMethod, pong},
		{new("ns"), "", rpc.PingMethod, "UnsupportedVersion: Endpoint does not support RPC version 1.0. Attempted method: oslo_rpc_server_ping"},
	} {
		reply, err := handler(t.Context(), &rpc.Incoming{Request: rpc.Request{Namespace: x.namespace, Version: x.version, Method: x.method, Payload: []byte(`{"any": 1}`)}})
		got, _ := reply.Value()
		if remote, ok := errors.AsType[*rpc.RemoteError](err); ok {
			got = remote.Class + ": " + remote.Message
			if remote.Module != "oslo_messaging.rpc.dispatcher" {
				t.Errorf("module %s", remote.Module)
			}
		}
		if got != x.want {
			t.Errorf("%v %s %s\n got %v\nwant %s", x.namespace, x.version, x.method, got, x.want)
		}
	}
}
