package main

import (
	"fmt"
	"strings"

	"github.com/wasmrouter/router/oslo"
)

// osloLines says in words what a message of oslo.messaging is about, without
// its envelope.
func osloLines(text []byte) []string {
	message, err := oslo.ParseObject(text)
	if err != nil {
		return []string{string(text)}
	}
	var lines []string
	switch {
	case has(&message, "method"):
		lines = requestLines(&message)
	case has(&message, "event_type"):
		lines = []string{fmt.Sprintf("%s %s from %s: %s", strings.ToLower(message.Text("priority")), message.Text("event_type"), message.Text("publisher_id"), member(&message, "payload"))}
	case has(&message, "_msg_id"):
		lines = answerLines(&message)
	default:
		return []string{string(text)}
	}
	var context oslo.Object
	for key, value := range message.All() {
		if name, ok := strings.CutPrefix(key, "_context_"); ok {
			context.Set(name, value)
		}
	}
	if context.Len() > 0 {
		lines = append(lines, "context: "+string(context.Raw()))
	}
	return lines
}

func has(message *oslo.Object, key string) bool {
	_, ok := message.Get(key)
	return ok
}

// member returns a member's JSON, null if there is none.
func member(message *oslo.Object, key string) string {
	if raw, ok := message.Get(key); ok {
		return string(raw)
	}
	return string(oslo.Null)
}

func requestLines(message *oslo.Object) []string {
	r := oslo.ParseRequest(message)
	kind := "cast"
	if r.IsCall() {
		kind = "call"
	}
	line := kind + " " + r.Method
	if r.Namespace != nil {
		line += " in " + *r.Namespace
	}
	if r.Version != "" {
		line += " " + r.Version
	}
	lines := []string{line + ": " + member(message, "args")}
	if r.IsCall() {
		lines = append(lines, "reply to "+r.ReplyQueue+" as "+r.MsgID)
	}
	return lines
}

func answerLines(message *oslo.Object) []string {
	r, err := oslo.ParseReply(message)
	switch id := message.Text("_msg_id"); {
	case err != nil:
		return []string{string(message.Raw())}
	case !r.Ending:
		return []string{"still at work on " + id}
	case r.Failure != nil:
		return append([]string{fmt.Sprintf("failure of %s: %s: %s", id, r.Failure.Class, r.Failure.Message)}, trimmed(r.Failure.Traceback)...)
	}
	return []string{"result of " + message.Text("_msg_id") + ": " + member(message, "result")}
}

// trimmed returns the lines of a traceback, one a line.
func trimmed(traceback []string) []string {
	return strings.Split(strings.TrimRight(strings.Join(traceback, ""), "\n"), "\n")
}
