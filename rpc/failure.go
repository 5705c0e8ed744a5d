package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wasmrouter/router/oslo"
)

// Failure is implemented by errors that choose how a caller is told of them,
// as an exception with a class, a module and arguments. A *[RemoteError] is
// one, too: an error that wraps it is told as what it wraps.
//
// Python clients make the class out of it if their allowed_remote_exmods have
// the module, and call it with the arguments.
type Failure interface {
	error
	RemoteError() *RemoteError
}

// failureOf returns what the caller is told of err: no traceback, and nothing
// but the text of an error that does not choose.
func failureOf(err error) *RemoteError {
	if remote, ok := errors.AsType[*RemoteError](err); ok {
		return remote
	}
	if f, ok := errors.AsType[Failure](err); ok {
		if remote := f.RemoteError(); remote != nil {
			return remote
		}
	}
	return &RemoteError{Class: "ServerError", Module: internalModule, Message: err.Error()}
}

// internalError is what a caller is told when the reason is nobody's business.
func internalError(message string) *RemoteError {
	return &RemoteError{Class: "InternalError", Module: internalModule, Message: message}
}

// Expectation tells an error that is part of a method's contract from one that
// an operator should hear of. See [ServerConfig.Expected].
type Expectation func(error) bool

// ExpectIs expects errors that match one of the targets by [errors.Is]. A
// *[RemoteError] with only a class matches all failures of that class.
func ExpectIs(targets ...error) Expectation {
	return func(err error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
}

// ExpectAs expects errors that are or wrap an E.
func ExpectAs[E error]() Expectation {
	return func(err error) bool {
		_, ok := errors.AsType[E](err)
		return ok
	}
}

// quietSuffix ends the names of methods whose failures Python does not log:
// clients use them to ask whether there is such a method.
const quietSuffix = "_ignore_errors"

// logFailure tells the log of a request that failed: quietly if that was to be
// expected, and seldom if the request itself is to blame, as anybody who may
// publish could fill the log otherwise.
func (j *job) logFailure(err error) {
	s, log := j.server, j.server.cfg.Logger
	expected := strings.HasSuffix(j.in.Method, quietSuffix)
	for _, e := range s.cfg.Expected {
		expected = expected || e(err)
	}
	switch {
	case expected:
		log.Debug("request failed as expected", "method", j.in.Method, "err", err)
	case callersMistake(err):
		if s.mistakes.now() {
			log.Warn("request refused", "method", j.in.Method, "queue", j.in.Origin.Queue, "err", err)
		}
	default:
		log.Warn("request failed", "method", j.in.Method, "queue", j.in.Origin.Queue, "err", err)
	}
}

// callersMistake reports whether err is what [Dispatch] and [MethodsOf] answer.
func callersMistake(err error) bool {
	remote, ok := errors.AsType[*RemoteError](err)
	return ok && (remote.Module == oslo.DispatcherModule || remote.Class == "TypeError" && remote.Module == "builtins" ||
		remote.Class == unreadableClass)
}

// unreadableClass is the class of the failure that answers a message which
// names its caller and cannot be read.
const unreadableClass = "UnreadableRequest"

// unreadable is the answer to such a message.
func unreadable(err error) *RemoteError {
	return &RemoteError{Class: unreadableClass, Module: internalModule, Message: fmt.Sprintf("the server cannot read the request: %v", err)}
}

type incomingKey struct{}

// IncomingFrom returns the request that a handler's ctx is for: its context,
// ticket and origin. It is nil if ctx is no handler's.
func IncomingFrom(ctx context.Context) *Incoming {
	in, _ := ctx.Value(incomingKey{}).(*Incoming)
	return in
}

// WithIncoming returns a ctx whose request is in, for tests of handlers.
func WithIncoming(ctx context.Context, in *Incoming) context.Context {
	return context.WithValue(ctx, incomingKey{}, in)
}
