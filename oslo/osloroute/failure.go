package osloroute

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// Headers by which a filter that replies says that the call has failed. They
// are those of package rpc's format plain.
const (
	HeaderErrorClass   = "x-rpc-error-class"
	HeaderErrorModule  = "x-rpc-error-module"
	HeaderErrorMessage = "x-rpc-error-message"
)

// failureOf returns the failure that a filter answers with, nil if it is none.
func failureOf(env *router.Envelope) *oslo.Failure {
	text := func(name string) string {
		v, _ := env.Header(name)
		s, _ := v.(string)
		return s
	}
	if _, failed := env.Header(HeaderErrorClass); !failed {
		return nil
	}
	return &oslo.Failure{Class: text(HeaderErrorClass), Module: text(HeaderErrorModule), Message: text(HeaderErrorMessage)}
}

// failureFor returns what the caller of a lost message is told: the route, the
// filter and the reason, and no more of what went wrong inside than that.
func failureFor(route string, loss router.Loss) oslo.Failure {
	class, what := ClassFilterFailed, "it failed on the message ("+strings.TrimPrefix(loss.Reason, "filter-")+")"
	switch loss.Reason {
	case router.ReasonTooLarge:
		class, what = ClassTooLarge, "the message is too large"
	case router.ReasonRejected:
		class, what = ClassRejected, "it rejected the message"
	case router.ReasonDropped:
		class, what = ClassDropped, "it dropped the message"
	case router.ReasonNotAllowed:
		class, what = ClassNotAllowed, "a filter chose a target that is not allowed"
	case router.ReasonUndecided:
		class, what = ClassUnroutable, "nothing says where the message goes"
	case router.ReasonUnroutable:
		class, what = ClassUnroutable, "no queue takes the message"
	case router.ReasonUnsendable, router.ReasonNacked, router.ReasonUnconfirmed:
		class, what = ClassUndeliverable, "the broker did not take the message ("+loss.Reason+")"
	case router.ReasonAttempts:
		class, what = ClassUndeliverable, "all attempts were used up"
	}
	where := "route " + route + ": "
	switch loss.Filter {
	case "":
		what = strings.Replace(what, "it ", "a filter ", 1)
	case Name:
		what = "the message that filters left is no good"
		if loss.Stage == router.Decode.String() {
			class, what = ClassUndecodable, "the message is not understood"
		}
	default:
		where += "filter " + loss.Filter + ": "
	}
	if loss.Text != "" {
		what += ": " + loss.Text
	}
	return oslo.Failure{Class: class, Module: Module, Message: where + printable(what)}
}

// maxText bounds the text of a failure, in bytes.
const maxText = 512

// printable returns text without what is not printable and with at most maxText
// bytes.
func printable(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "")
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// sealReply returns a reply as it is sent.
func sealReply(r *oslo.Reply) router.Envelope {
	env := router.NewEnvelope(nil, oslo.Seal(r.Encode()))
	env.ContentType, env.ContentEncoding, env.DeliveryMode = oslo.ContentType, oslo.ContentEncoding, oslo.DeliveryMode
	return env
}
