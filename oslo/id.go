package oslo

import (
	"crypto/rand"
	"encoding/hex"
)

// NewID returns a random version 4 UUID as 32 hexadecimal digits, the form of
// message and unique ids and of the random part of queue names.
func NewID() string {
	id := newUUID()
	return hex.EncodeToString(id[:])
}

// NewMessageID returns a random version 4 UUID with dashes, the form of a
// notification's message id.
func NewMessageID() string {
	id := newUUID()
	s := hex.EncodeToString(id[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func newUUID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails: the program ends if there is no randomness
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// NewReplyQueue returns a new name for a client's reply queue.
func NewReplyQueue() string { return "reply_" + NewID() }
