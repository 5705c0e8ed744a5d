package oslo_test

import (
	"strings"
	"testing"

	"github.com/wasmrouter/router/oslo"
)

// call returns a request as it is sent, with the arguments given.
func call(args string) string {
	r := oslo.Request{Method: "m", Args: oslo.Raw(args), MsgID: "id", ReplyQueue: "queue", UniqueID: "u"}
	return string(oslo.Seal(r.Encode()))
}

func TestTheWayBackIsSalvaged(t *testing.T) {
	flat := `{"method": "m", "args": {}, "_msg_id": "id", "_reply_q": "queue"}`
	for name, body := range map[string]string{
		"as it is":                 call(`{}`),
		"flat":                     flat,
		"of a newer version":       strings.Replace(call(`{}`), `"2.0"`, `"3.0"`, 1),
		"an object, not its text":  `{"oslo.version": "2.0", "oslo.message": ` + flat + `}`,
		"arguments that are none":  call(`null`),
		"damaged arguments":        call(`{"a": tru, "b": [1,, "_msg_id"]}`),
		"not UTF-8":                call(`{"a": "` + "\xff\xfe" + `"}`),
		"raw bytes":                strings.Replace(call(`{}`), "method", "meth\xffod", 1),
		"cut behind the two":       flat[:len(flat)-1],
		"cut in the envelope":      call(`{}`)[:strings.Index(call(`{}`), "_timeout")],
		"cut in an escape":         call(`{}`)[:strings.Index(call(`{}`), "_timeout")-1],
		"an escape that is none":   strings.Replace(call(`{}`), `\"m\"`, `\"\q\u12\"`, 1),
		"a mark of byte order":     "\xef\xbb\xbf" + flat,
		"others of that name":      call(`{"_msg_id": "x", "_reply_q": "y", "l": [{"_msg_id": "z"}], "t": "\"_msg_id\": \"w\""}`),
		"text behind it":           flat + ` {"_msg_id": "x"}`,
		"too many closing":         call(`{}`) + "}}}",
		"twice, where the last is": `{"_msg_id": "x", "_msg_id": "id", "_reply_q": "queue"}`,
		"spaced":                   "\n{ \"_reply_q\" :\t\"queue\" , \"_msg_id\" : \"id\" }",
	} {
		if id, queue, ok := oslo.Salvage([]byte(body)); !ok || id != "id" || queue != "queue" {
			t.Errorf("%s: %q, %q, %v of %s", name, id, queue, ok, body)
		}
	}
}

func TestNothingIsSalvagedFromWhatNamesNoWayBack(t *testing.T) {
	long := strings.Repeat("q", 256)
	for name, body := range map[string]string{
		"nothing":            "",
		"no object":          `["_msg_id", "_reply_q"]`,
		"text":               `_msg_id: "id", _reply_q: "queue"`,
		"a cast":             `{"method": "m", "args": {}, "_unique_id": "u"`,
		"a reply":            `{"result": 1, "_msg_id": "id"`,
		"only arguments":     `{"method": "m", "args": {"_msg_id": "id", "_reply_q": "queue"}`,
		"numbers":            `{"_msg_id": 1, "_reply_q": 2}`,
		"empty names":        `{"_msg_id": "", "_reply_q": "queue"}`,
		"cut within a name":  `{"_msg_id": "id", "_reply_q": "que`,
		"cut behind a colon": `{"_msg_id": "id", "_reply_q":`,
		"too long":           `{"_msg_id": "id", "_reply_q": "` + long + `"}`,
		"control characters": `{"_msg_id": "i\nd", "_reply_q": "queue"}`,
		"a lone surrogate":   `{"_msg_id": "id", "_reply_q": "\udc80"}`,
		"an escape too many": `{"_msg_id": "id", "_reply_q": "queue\`,
		"an empty envelope":  `{"oslo.version": "2.0", "oslo.message": ""}`,
		"a broken envelope":  `{"oslo.version": "2.0", "oslo.message": "\`,
		"hidden deeper":      `{"oslo.version": "2.0", "oslo.message": "[{\"_msg_id\": \"id\", \"_reply_q\": \"queue\"}]"}`,
	} {
		if id, queue, ok := oslo.Salvage([]byte(body)); ok || id != "" || queue != "" {
			t.Errorf("%s: %q, %q, %v", name, id, queue, ok)
		}
	}
}

func FuzzSalvage(f *testing.F) {
	f.Add([]byte(call(`{"a": 1}`)))
	f.Add([]byte(`{"_msg_id": "id", "_reply_q": "queue"`))
	f.Add([]byte(`{"oslo.message": "\`))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, queue, ok := oslo.Salvage(body)
		message, enveloped, err := oslo.Open(body)
		if _, half := message.Get("oslo.message"); err != nil || !ok || half && !enveloped {
			return
		}
		// What can be read in the ordinary way reads the same.
		if r := oslo.ParseRequest(&message); r.MsgID != id || r.ReplyQueue != queue {
			t.Errorf("%q and %q, not %q and %q", id, queue, r.MsgID, r.ReplyQueue)
		}
	})
}
