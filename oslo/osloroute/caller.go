package osloroute

import (
	"bytes"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
)

// caller is whom a call is to be answered to.
type caller struct {
	id    string // the call's _msg_id
	queue string // its _reply_q
}

// callerOf returns the caller of a message as it was received, and whether it
// has one, however damaged it is.
func callerOf(received *router.Envelope, limit int) (caller, bool) {
	compression, err := compressionOf(received)
	if err != nil {
		return caller{}, false
	}
	text, err := oslo.Decompress(compression, received.Body, max(limit, len(received.Body)))
	if err != nil {
		return caller{}, false
	}
	id, queue, ok := oslo.Salvage(text)
	return caller{id, queue}, ok
}

// AsCaller returns a call that a proxy has sent as its caller made it: with the
// caller's id and queue for replies, which is how a route in mode forward sends it.
// Received is the message that the proxy made it of. It returns false if sent is no
// such call, or one of the two has more than limit bytes when decompressed.
func AsCaller(received, sent *router.Envelope, limit int) (router.Envelope, bool) {
	to, ok := callerOf(received, limit)
	if !ok {
		return router.Envelope{}, false
	}
	read, compressed, err := bodyOf(sent, limit)
	if err != nil || read.Message().Text(keyMsgID) != idOf(to) {
		return router.Envelope{}, false
	}
	read.Message().Set(keyMsgID, oslo.String(to.id))
	read.Message().Set(keyReplyQueue, oslo.String(to.queue))
	own := sent.Clone()
	own.Body = read.Bytes()
	if !compressed {
		return own, true
	}
	if as, _, err := bodyOf(received, limit); err == nil && bytes.Equal(as.Bytes(), own.Body) {
		own.Body = received.Body // which others have compressed
	} else {
		own.Body = oslo.Compress(own.Body)
	}
	return own, true
}

// bodyOf reads the body of a message as it is on the wire.
func bodyOf(env *router.Envelope, limit int) (read oslo.Body, compressed bool, err error) {
	compression, err := compressionOf(env)
	if err != nil {
		return read, false, err
	}
	text, err := oslo.Decompress(compression, env.Body, limit)
	if err != nil {
		return read, false, err
	}
	read, err = oslo.ReadBody(text)
	return read, compression != "", err
}
