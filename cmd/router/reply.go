package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/rpc"
)

// replyPrinter prints what comes of a call.
type replyPrinter struct {
	out, errOut io.Writer
	oslo        bool // else plain
	json        bool
	traceback   bool
}

// print prints the reply, or what of err belongs on standard output, and
// returns err.
func (p *replyPrinter) print(reply rpc.Reply, err error) error {
	if err != nil {
		if remote, ok := errors.AsType[*rpc.RemoteError](err); ok {
			p.failure(remote)
		}
		return err
	}
	payload := reply.Payload
	if p.oslo && payload == nil {
		payload = oslo.Null
	}
	if p.json && p.oslo {
		var o oslo.Object
		o.Set("result", payload)
		payload = o.Raw()
	} else if p.json {
		if payload, err = json.Marshal(plainReply(reply)); err != nil {
			return err
		}
	}
	_, err = p.out.Write(append(payload, '\n'))
	return err
}

// printedReply is a plain reply as JSON.
type printedReply struct {
	ContentType string         `json:"content_type,omitempty"`
	Headers     map[string]any `json:"headers"`
	Body        string         `json:"body"`
	BodyBase64  string         `json:"body_base64,omitempty"`
}

func plainReply(reply rpc.Reply) printedReply {
	out := printedReply{ContentType: reply.ContentType, Headers: deadletters.HeaderValues(reply.Context)}
	if utf8.Valid(reply.Payload) {
		out.Body = string(reply.Payload)
	} else {
		out.BodyBase64 = base64.StdEncoding.EncodeToString(reply.Payload)
	}
	return out
}

// failure prints what the error of the command line leaves out.
func (p *replyPrinter) failure(e *rpc.RemoteError) {
	if p.traceback {
		for _, line := range e.Traceback {
			fmt.Fprint(p.errOut, safe(line))
		}
	}
	if !p.json {
		return
	}
	var o, failure oslo.Object
	failure.Set("class", oslo.String(e.Class))
	failure.Set("module", oslo.String(e.Module))
	failure.Set("message", oslo.String(e.Message))
	failure.Set("args", e.Args)
	failure.Set("kwargs", e.Kwargs)
	lines, err := oslo.Marshal(e.Traceback)
	if err == nil {
		failure.Set("traceback", lines)
	}
	o.Set("error", failure.Raw())
	_, _ = p.out.Write(append(o.Raw(), '\n')) // the exit code tells of the failure anyway
}
