package rpc

import (
	"context"
	"maps"
	"slices"

	"github.com/wasmrouter/router/oslo"
)

// Endpoint is a set of methods that a server has under one namespace and
// version.
type Endpoint struct {
	// Namespace is what a request has to name; nil is the null namespace, that
	// of a request that names none, which "" is not.
	Namespace *string
	// LegacyNamespaces are further namespaces under which clients of old may
	// ask for the same methods; nil among them is the null namespace.
	LegacyNamespaces []*string
	// Version is the newest that is served: requests for its major version, and
	// at most its minor version, come here. The default is 1.0.
	Version string
	// Methods are functions by their names. [MethodsOf] makes them out of the
	// methods of a Go value.
	Methods map[string]Handler
}

// PingMethod is the method of [Ping].
const PingMethod = "oslo_rpc_server_ping"

// Ping returns the endpoint that oslo.messaging's option rpc_ping_enabled adds
// to a server, as its last: the method [PingMethod] answers "pong", whatever its
// arguments are.
func Ping() Endpoint {
	return Endpoint{Methods: map[string]Handler{
		PingMethod: func(context.Context, *Incoming) (Reply, error) { return Reply{Payload: []byte(`"pong"`)}, nil },
	}}
}

// Dispatch returns a handler that passes each request to the first endpoint
// that serves its namespace and version and has its method. If none does, the
// answer is the failure NoSuchMethod or UnsupportedVersion that
// oslo.messaging's own dispatcher gives.
func Dispatch(endpoints ...Endpoint) Handler {
	list := make([]Endpoint, len(endpoints))
	for i, e := range endpoints {
		if e.Version == "" {
			e.Version = oslo.DefaultVersion
		}
		e.LegacyNamespaces = slices.Clone(e.LegacyNamespaces)
		e.Methods = maps.Clone(e.Methods)
		list[i] = e
	}
	return func(ctx context.Context, in *Incoming) (Reply, error) {
		version := in.Version
		if version == "" {
			version = oslo.DefaultVersion
		}
		served := false
		for i := range list {
			e := &list[i]
			if !e.accepts(in.Namespace) || !oslo.Compatible(e.Version, version) {
				continue
			}
			if method := e.Methods[in.Method]; method != nil {
				return method(ctx, in)
			}
			served = true
		}
		if served {
			return Reply{}, NoSuchMethod(in.Method)
		}
		return Reply{}, UnsupportedVersion(version, in.Method)
	}
}

func (e *Endpoint) accepts(namespace *string) bool {
	return sameNamespace(e.Namespace, namespace) ||
		slices.ContainsFunc(e.LegacyNamespaces, func(old *string) bool { return sameNamespace(old, namespace) })
}

func sameNamespace(a, b *string) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// NoSuchMethod is the failure of a request whose method the server lacks.
func NoSuchMethod(method string) *RemoteError { return remoteError(oslo.NoSuchMethod(method)) }

// UnsupportedVersion is the failure of a request whose namespace or version
// the server lacks.
func UnsupportedVersion(version, method string) *RemoteError {
	return remoteError(oslo.UnsupportedVersion(version, method))
}

// BadArguments is the failure of a request whose arguments do not suit its
// method.
func BadArguments(message string) *RemoteError { return remoteError(oslo.BadArguments(message)) }
