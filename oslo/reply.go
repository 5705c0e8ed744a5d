package oslo

import "fmt"

// Reply answers a call: with a result, with a failure, or, while Ending is
// false, with the news that the server is still at work.
type Reply struct {
	MsgID    string
	UniqueID string
	Result   Raw
	Failure  *Failure
	Ending   bool
}

// KeepAlive returns the message that tells the caller of msgID that the server
// is still at work. Only a caller that gave a timeout understands it.
func KeepAlive(msgID string) Reply { return Reply{MsgID: msgID, UniqueID: NewID()} }

// Encode returns the message, not yet in an envelope. All five members are
// always there, since callers fail on a missing one.
func (r *Reply) Encode() Raw {
	w := objectWriter{dst: append(make([]byte, 0, 192+len(r.Result)), '{')}
	w.raw("result", r.Result)
	w.key("failure")
	if r.Failure == nil {
		w.dst = append(w.dst, Null...)
	} else {
		w.dst = appendQuoted(w.dst, r.Failure.Encode())
	}
	w.key("ending")
	if r.Ending {
		w.dst = append(w.dst, "true"...)
	} else {
		w.dst = append(w.dst, "false"...)
	}
	w.text(keyMsgID, r.MsgID)
	w.text(keyUniqueID, r.UniqueID)
	return Raw(append(w.dst, '}'))
}

// ParseReply reads a reply. A failure that Python takes as false, "" or {} for
// example, is none, and every value that it takes as true ends the call. So does
// a result or failure that does not say so, as nothing better can follow it. The
// error wraps [ErrMessage] if the reply does not name its call.
func ParseReply(message *Object) (Reply, error) {
	r := Reply{MsgID: message.Text(keyMsgID), UniqueID: message.Text(keyUniqueID)}
	if r.MsgID == "" {
		return r, fmt.Errorf("%w: a reply without %s", ErrMessage, keyMsgID)
	}
	r.Result, _ = message.Get("result")
	if failure, _ := message.Get("failure"); failure.truthy() {
		f := ParseFailure(failure)
		r.Failure = &f
	}
	ending, _ := message.Get("ending")
	r.Ending = ending.truthy() || r.Failure != nil || !r.Result.IsNull()
	return r, nil
}
