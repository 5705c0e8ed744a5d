package rpc

import (
	"context"
	"maps"

	"github.com/wasmrouter/router/oslo"
)

// Endpoint is a set of methods that a server has under one namespace and
// version.
type Endpoint struct {
	Namespace *string // nil is the null namespace
	Version   string  // the default is 1.0
	Methods   map[string]Handler
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
		e.Methods = maps.Clone(e.Methods)
		list[i] = e
	}
	return func(ctx context.Context, in *Incoming) (Reply, error) {
		version := in.Version
		if version == "" {
			version = oslo.DefaultVersion
		}
		served := false
		for _, e := range list {
			if !sameNamespace(e.Namespace, in.Namespace) || !oslo.Compatible(e.Version, version) {
				continue
			}
			if method, ok := e.Methods[in.Method]; ok {
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
