package oslo

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// maxSalvaged bounds a salvaged name in bytes: AMQP has no longer queue names.
const maxSalvaged = 255

// Salvage reads the two members that a caller's error reply needs, _msg_id and
// _reply_q, out of a body that [Open] or [ParseRequest] could not read: one of
// another content type or envelope version, one that is damaged or not UTF-8,
// or one that ends too early. It takes them only where they stand in a request,
// in the outermost object of the message, so that an argument of the same name
// is not mistaken for one. Ok tells whether both are there and may be names:
// not empty, at most 255 bytes of UTF-8, no control characters.
//
// The body must be decompressed; it may be of any length and content, and is
// read once or twice.
func Salvage(body []byte) (msgID, replyQueue string, ok bool) {
	message := body
	salvageMembers(body, func(key, rest []byte) {
		if string(key) != keyMessage {
			return
		}
		switch {
		case rest[0] == '{':
			message = rest
		case rest[0] == '"':
			message = unquoteDamaged(rest)
		}
	})
	salvageMembers(message, func(key, rest []byte) {
		if name := string(key); name == keyMsgID || name == keyReplyQueue {
			value := ""
			if end, err := scanString(rest, 0); rest[0] == '"' && err == nil {
				value = string(unquote(rest[:end]))
			}
			if name == keyMsgID {
				msgID = value
			} else {
				replyQueue = value
			}
		}
	})
	if !salvageable(msgID) || !salvageable(replyQueue) {
		return "", "", false
	}
	return msgID, replyQueue, true
}

func salvageable(name string) bool {
	if name == "" || len(name) > maxSalvaged || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f {
			return false
		}
	}
	return true
}

// salvageMembers tells found of the members of the object that s begins with,
// as far as it can be made out: the key without its quotes and, from the value
// on, the rest of the text, which is not empty. It only counts brackets outside
// of strings; what stands between them may be anything.
func salvageMembers(s []byte, found func(key, rest []byte)) {
	i := skipSpace(s, len(s)-len(bytes.TrimPrefix(s, []byte("\xef\xbb\xbf"))))
	if i == len(s) || s[i] != '{' {
		return
	}
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return
			}
		case '"':
			end := endOfString(s, i)
			if end < 0 {
				return
			}
			if value := skipSpace(s, end); depth == 1 && value < len(s) && s[value] == ':' {
				if value = skipSpace(s, value+1); value < len(s) {
					found(s[i+1:end-1], s[value:])
				}
			}
			i = end
			continue
		}
		i++
	}
}

// endOfString returns where the string that starts at i ends, whatever it
// holds, or -1 if it does not.
func endOfString(s []byte, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// unquoteDamaged returns the text of the string that s begins with, which may
// have escapes that are none, and no end.
func unquoteDamaged(s []byte) []byte {
	if end := endOfString(s, 0); end > 0 {
		return unquote(s[:end])
	}
	s = slices.Clone(s)
	if text := bytes.TrimRight(s, `\`); (len(s)-len(text))%2 == 1 {
		s = s[:len(s)-1]
	}
	return unquote(append(s, '"'))
}
