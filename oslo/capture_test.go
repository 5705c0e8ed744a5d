package oslo_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
)

// capture is a message as a real peer put it on the wire.
type capture struct {
	Name         string `json:"-"`
	Body         string
	BodyEncoding string `json:"body_encoding"`
	Exchange     string
	Headers      map[string]string
	Properties   struct {
		ContentType     string `json:"content_type"`
		ContentEncoding string `json:"content_encoding"`
		DeliveryMode    int    `json:"delivery_mode"`
		Expiration      string
	}
	RoutingKey string `json:"routing_key"`
}

func captures(t testing.TB) []capture {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/*.json")
	if err != nil || len(files) != 20 {
		t.Fatalf("captures: %d, %v", len(files), err)
	}
	list := make([]capture, len(files))
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &list[i]); err != nil {
			t.Fatal(file, err)
		}
		list[i].Name = filepath.Base(file)
	}
	return list
}

// plain returns the body as it is after decompression.
func (c *capture) plain(t testing.TB) []byte {
	t.Helper()
	body := []byte(c.Body)
	if c.BodyEncoding == "hex" {
		var err error
		if body, err = hex.DecodeString(c.Body); err != nil {
			t.Fatal(err)
		}
	}
	body, err := oslo.Decompress(c.Headers[oslo.HeaderCompression], body, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestEveryCaptureIsWrittenAsItWasRead(t *testing.T) {
	kinds := map[oslo.Kind]int{}
	for _, c := range captures(t) {
		t.Run(c.Name, func(t *testing.T) {
			if c.Properties.ContentType != oslo.ContentType || c.Properties.ContentEncoding != oslo.ContentEncoding || c.Properties.DeliveryMode != oslo.DeliveryMode {
				t.Errorf("properties are %+v", c.Properties)
			}
			if err := oslo.CheckContentType(c.Properties.ContentType); err != nil {
				t.Error(err)
			}
			body := c.plain(t)
			message, enveloped, err := oslo.Open(body)
			if err != nil {
				t.Fatal(err)
			}
			kind := oslo.KindOf(&message)
			kinds[kind]++
			var out oslo.Raw
			switch kind {
			case oslo.KindRequest:
				r := oslo.ParseRequest(&message)
				if r.IsCall() != (c.Properties.Expiration != "") {
					t.Errorf("a call: %v, expires: %q", r.IsCall(), c.Properties.Expiration)
				}
				out = r.Encode()
			case oslo.KindReply:
				r, err := oslo.ParseReply(&message)
				if err != nil {
					t.Fatal(err)
				}
				out = r.Encode()
			case oslo.KindNotification:
				n, err := oslo.ParseNotification(&message)
				if err != nil {
					t.Fatal(err)
				}
				out = n.Encode()
			default:
				t.Fatalf("kind %d", kind)
			}
			again := []byte(out)
			if enveloped {
				again = oslo.Seal(out)
			}
			if diff := cmp.Diff(string(body), string(again)); diff != "" {
				t.Errorf("(-captured +written):\n%s", diff)
			}
			if string(message.Raw()) != string(out) {
				t.Errorf("untouched message is %s", message.Raw())
			}
		})
	}
	want := map[oslo.Kind]int{oslo.KindRequest: 9, oslo.KindReply: 9, oslo.KindNotification: 2}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func read(t *testing.T, name string) oslo.Object {
	t.Helper()
	for _, c := range captures(t) {
		if c.Name == name {
			message, _, err := oslo.Open(c.plain(t))
			if err != nil {
				t.Fatal(err)
			}
			return message
		}
	}
	t.Fatalf("no capture %s", name)
	return oslo.Object{}
}

func TestCapturedRequestsSayWhatWasCalled(t *testing.T) {
	message := read(t, "05-call-namespace-version.json")
	r := oslo.ParseRequest(&message)
	if r.Method != "echo" || r.Namespace == nil || *r.Namespace != "interop.ns" || r.Version != "2.1" ||
		r.MsgID != "dea5627b06f049bdb2690ea2a05234ac" || r.ReplyQueue != "reply_6b347522a62f4dc09bec121888cbb7cc" || r.KeepAlive() != 0 {
		t.Errorf("request %+v", r)
	}
	message = read(t, "01-call-request.json")
	r = oslo.ParseRequest(&message)
	args, err := r.Arguments()
	if err != nil || args.Text("value") != "héllo" {
		t.Errorf("arguments %v, %v", args.Value(), err)
	}
	want := map[string]any{"user_id": "u1", "is_admin": true, "request_id": "req-1"}
	if diff := cmp.Diff(want, r.Context.Value()); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
	message = read(t, "11-call-with-monitor-timeout.json")
	r = oslo.ParseRequest(&message)
	if got := r.KeepAlive().Seconds(); got != 1 {
		t.Errorf("keep-alive every %v s", got)
	}
}

func TestCapturedFailuresAreWhatServersHereAnswer(t *testing.T) {
	for name, want := range map[string]oslo.Failure{
		"09-reply-failure-nosuchmethod.json":       oslo.NoSuchMethod("no_such_method"),
		"10-reply-failure-unsupportedversion.json": oslo.UnsupportedVersion("7.0", "echo"),
	} {
		message := read(t, name)
		r, err := oslo.ParseReply(&message)
		if err != nil || r.Failure == nil || !r.Ending {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		got := *r.Failure
		if len(got.Traceback) == 0 {
			t.Errorf("%s: no traceback", name)
		}
		got.Traceback = nil
		if string(got.Encode()) != string(want.Encode()) {
			t.Errorf("%s:\n got %s\nwant %s", name, got.Encode(), want.Encode())
		}
	}
	message := read(t, "08-reply-failure-custom-kwargs.json")
	r, _ := oslo.ParseReply(&message)
	if f := r.Failure; f.Class != "InteropError" || f.Module != "interop_exc" || string(f.Kwargs) != `{"code": 42, "uuid": "u-1"}` {
		t.Errorf("failure %+v", r.Failure)
	}
	message = read(t, "12-reply-heartbeat.json")
	if r, err := oslo.ParseReply(&message); err != nil || r.Ending {
		t.Errorf("keep-alive %+v, %v", r, err)
	}
}
