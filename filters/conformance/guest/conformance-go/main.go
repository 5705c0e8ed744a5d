// The conformance filter of SPEC.md, in Go.
package main

import (
	"errors"

	"github.com/wasmrouter/router/filters/sdk/go/filter"
)

const (
	maxKey   = 64
	maxValue = 1024
)

// What the configuration said, and what the host gave during router_init.
var (
	text, tableKey     string
	hasText, hasTable  bool
	number             int64
	flag               bool
	hasNumber, hasFlag bool

	initTime                  int64
	initHeader, initBody      int
	counter, gauge, histogram int32

	count int64
)

func init() {
	filter.OnInit = configure
}

func main() {}

//go:wasmexport router_decode
func decode(at, n uint32) int64 { return handle(0, at, n) }

//go:wasmexport router_unpack
func unpack(at, n uint32) int64 { return handle(1, at, n) }

//go:wasmexport router_decide
func decide(at, n uint32) int64 { return handle(2, at, n) }

//go:wasmexport router_pack
func pack(at, n uint32) int64 { return handle(3, at, n) }

//go:wasmexport router_encode
func encode(at, n uint32) int64 { return handle(4, at, n) }

//go:wasmexport router_close
func closed() { filter.Log(filter.LevelInfo, "closed") }

var stage int64 // of the call

func handle(s int64, at, n uint32) int64 {
	stage = s
	return filter.Handle(at, n, run)
}

func configure(c *filter.Message) error {
	if reason, ok := c.HeaderText("fail"); ok {
		return errors.New(reason)
	}
	if v, ok := c.Header("needs"); ok && v.Type == filter.Int64 {
		filter.Needs = le64(v.Raw)
	}
	_, hasText = c.HeaderText("text")
	_, hasTable = c.HeaderText("table.key")
	text, tableKey = c.ConfigText("text", ""), c.ConfigText("table.key", "")
	if v, ok := c.Header("int"); ok && v.Type == filter.Int64 {
		number, hasNumber = le64(v.Raw), true
	}
	if v, ok := c.Header("bool"); ok {
		flag, hasFlag = c.ConfigBool("bool", false), v.Type == filter.Bool
	}
	var b [1]byte
	initTime = filter.TimeNS()
	initHeader = filter.ReadHeader("do", b[:])
	initBody = filter.ReadBody(0, b[:])
	counter = filter.DefineMetric(filter.Counter, "conf_total")
	gauge = filter.DefineMetric(filter.Gauge, "conf_level")
	histogram = filter.DefineMetric(filter.Histogram, "conf_seconds")
	return nil
}

func le64(s string) int64 {
	var v uint64
	for i := range min(len(s), 8) {
		v |= uint64(s[i]) << (8 * i)
	}
	return int64(v)
}

var argumentSpace [maxValue]byte

// argument finds a header in the frame, else asks for it.
func argument(m *filter.Message, name string) (value string, found bool) {
	if v, ok := m.Header(name); ok {
		return v.Raw, true
	}
	n := filter.ReadHeader(name, argumentSpace[:])
	if n < 0 || n > len(argumentSpace) {
		return "", n >= 0
	}
	return string(argumentSpace[:n]), true
}

func textOf(m *filter.Message, name string) string {
	s, _ := argument(m, name)
	return s
}

func intOf(m *filter.Message, name string) int64 {
	if s := textOf(m, name); len(s) == 8 {
		return le64(s)
	}
	return 0
}

func capOf(m *filter.Message) int {
	if n := intOf(m, "cap"); n >= 0 && n <= maxValue {
		return int(n)
	}
	return 0
}

var valueSpace [maxValue]byte

// run does what the message's command says.
func run(m *filter.Message, d *filter.Delta) {
	command, ok := argument(m, "do")
	if !ok || change(command, d) || read(command, m, d) {
		return
	}
	switch command {
	case "target":
		if !d.Target(textOf(m, "target")) {
			d.Error("target", "not a target")
		}
	case "ref":
		d.SetBodyRef(m.Body())
	case "slice":
		body := m.Body()
		if len(body) < 2 {
			d.SetBodyRef(body[:0])
		} else {
			d.SetBodyRef(body[1 : len(body)-1])
		}
	case "upper":
		body := m.Body()
		for i, c := range body {
			if c >= 'a' && c <= 'z' {
				body[i] = c - 'a' + 'A'
			}
		}
		d.SetBodyRef(body)
	case "log":
		filter.Log(int32(intOf(m, "level")), textOf(m, "text"))
	case "kv-get":
		most := capOf(m)
		value, found := filter.KVGet(textOf(m, "key"), valueSpace[:0:most])
		n := len(value)
		if !found {
			n = -1
		}
		got(d, n, value, most)
	case "kv-set":
		d.SetHeaderInt("n", oneIf(filter.KVSet(textOf(m, "key"), []byte(textOf(m, "value")), intOf(m, "ttl"))))
	case "kv-swap":
		var old []byte
		if s, ok := argument(m, "old"); ok {
			old = append([]byte{}, s...)
		}
		d.SetHeaderInt("n", oneIf(filter.KVSwap(textOf(m, "key"), old, []byte(textOf(m, "value")), intOf(m, "ttl"))))
	case "kv-add":
		d.SetHeaderInt("n", filter.KVAdd(textOf(m, "key"), intOf(m, "by"), intOf(m, "ttl")))
	case "kv-delete":
		d.SetHeaderInt("n", oneIf(filter.KVDelete(textOf(m, "key"))))
	default:
		d.Error("do", "unknown command")
	}
}

func oneIf(ok bool) int64 {
	if ok {
		return 1
	}
	return 0
}

func got(d *filter.Delta, n int, value []byte, most int) {
	d.SetHeaderInt("n", int64(n))
	if n >= 0 && n <= most {
		d.SetHeaderBytes("value", value[:n])
	}
}

// read runs the commands that tell about the message.
func read(command string, m *filter.Message, d *filter.Delta) bool {
	switch command {
	case "frame":
		d.SetHeaderInt("flags", int64(m.Flags()))
		d.SetHeaderInt("stage", stage)
		d.SetHeaderInt("priority", int64(m.Priority()))
		d.SetHeaderInt("delivery_mode", int64(m.DeliveryMode()))
		d.SetHeaderInt("timestamp_ns", m.TimestampNS())
		d.SetHeaderInt("received_ns", m.ReceivedNS())
		d.SetHeaderInt("body_len", int64(len(m.Body())))
		d.SetHeaderInt("body_full_len", int64(m.BodyFullLen()))
		d.SetHeaderInt("headers", int64(m.HeaderCount()))
	case "prop":
		d.SetHeader("value", m.Prop(filter.Slot(intOf(m, "slot"))))
	case "header":
		v, found := m.Header(textOf(m, "name"))
		d.SetHeaderBool("found", found)
		if found {
			d.SetHeaderInt("type", int64(v.Type))
			d.SetHeaderBytes("value", []byte(v.Raw))
		}
	case "each":
		n, bytes, hashes := m.HeaderCount(), 0, uint32(0)
		for i := range n {
			name, v := m.HeaderAt(i)
			bytes += len(name) + len(v.Raw)
			hashes ^= filter.Hash(name)
		}
		d.SetHeaderInt("count", int64(n))
		d.SetHeaderInt("bytes", int64(bytes))
		d.SetHeaderInt("xor", int64(hashes))
	case "header-get":
		most := capOf(m)
		got(d, filter.ReadHeader(textOf(m, "name"), valueSpace[:most]), valueSpace[:], most)
	case "body-read":
		most := capOf(m)
		got(d, filter.ReadBody(int(intOf(m, "off")), valueSpace[:most]), valueSpace[:], most)
	case "json":
		readJSON(m, d)
	default:
		return false
	}
	return true
}

func readJSON(m *filter.Message, d *filter.Delta) {
	v, found, badAt := filter.FindJSON(m.Body(), textOf(m, "path"))
	switch {
	case badAt >= 0:
		d.SetHeader("kind", "malformed")
		return
	case !found:
		d.SetHeader("kind", "absent")
		return
	}
	kind := "null"
	switch v.Kind {
	case '{':
		kind = "object"
	case '[':
		kind = "array"
	case '"':
		kind = "string"
	case '0':
		kind = "number"
	case 't':
		kind = "true"
	case 'f':
		kind = "false"
	}
	d.SetHeader("kind", kind)
	d.SetHeaderBytes("raw", v.Raw)
	if s, ok := v.Text(valueSpace[:]); ok {
		d.SetHeader("text", s)
	}
}

// change runs the commands that always make the same change.
func change(command string, d *filter.Delta) bool {
	switch command {
	case "pass":
	case "error":
		d.Error("E1", "no way")
	case "error-retry":
		d.ErrorRetryable("E2", "later perhaps")
	case "trap":
		panic("as it was told")
	case "count":
		count++
		d.SetHeaderInt("count", count)
	case "types":
		d.SetHeader("utf8", "grün")
		d.SetHeaderBytes("bytes", []byte{0, 0xff, 0x10})
		d.SetHeaderInt("i64", -7)
		d.SetHeaderFloat("f64", 0.5)
		d.SetHeaderBool("bool", true)
		d.SetHeaderTime("time", 1700000000)
		d.SetHeaderNull("null")
	case "del":
		d.DelHeader("k")
	case "clear":
		d.SetHeader("before", "gone")
		d.ClearHeaders()
		d.SetHeader("after", "kept")
	case "props":
		for slot := filter.ContentType; slot <= filter.AppID; slot++ {
			d.SetProp(slot, "p"+string(rune('0'+slot)))
		}
		d.SetProp(filter.Expiration, "60000")
	case "attributes":
		d.SetPriority(7)
		d.SetDeliveryMode(1)
		d.SetTimestamp(1700000000)
	case "remove":
		d.SetProp(filter.ContentType, "")
		d.SetProp(filter.AppID, "")
		d.SetProp(filter.Expiration, "")
		d.DelTimestamp()
	case "targets":
		for _, t := range [...]string{
			"queue:q", "exchange:ex/key", "exchange:/key", "topic:t", "topic:ex/t",
			"server:t.s", "server:ex/t.s", "fanout:t", "notify:t.info", "notify:ex/t.info",
		} {
			d.Target(t)
		}
	case "forward":
		d.Forward()
	case "continue":
		d.Continue()
	case "drop":
		d.Drop("not needed")
	case "reject":
		d.Reject("zu groß")
	case "retry":
		d.Retry(1500, "later")
	case "reply":
		d.Reply()
	case "stop":
		d.Drop("")
		d.Stop()
	case "emit":
		d.Drop("split")
		d.Emit()
		d.Target("queue:a")
		d.SetHeaderInt("part", 1)
		d.SetBody([]byte("one"))
		d.Emit()
		d.Target("queue:b")
		d.SetProp(filter.Type, "second")
		d.DelHeader("k")
		d.SetBody([]byte("two"))
	case "body":
		d.SetBody([]byte("new body"))
	case "empty":
		d.SetBody(nil)
	default:
		return changeByHost(command, d)
	}
	return true
}

// changeByHost runs those that depend on the host or the configuration.
func changeByHost(command string, d *filter.Delta) bool {
	switch command {
	case "config":
		if hasText {
			d.SetHeader("text", text)
		}
		if hasNumber {
			d.SetHeaderInt("int", number)
		}
		if hasFlag {
			d.SetHeaderBool("bool", flag)
		}
		if hasTable {
			d.SetHeader("table.key", tableKey)
		}
	case "time":
		d.SetHeaderInt("time", filter.TimeNS())
	case "random":
		var a, b [16]byte
		filter.Random(a[:])
		filter.Random(b[:])
		d.SetHeaderBytes("a", a[:])
		d.SetHeaderBytes("b", b[:])
	case "init":
		d.SetHeaderInt("time", initTime)
		d.SetHeaderInt("header", int64(initHeader))
		d.SetHeaderInt("body", int64(initBody))
	case "metric":
		filter.AddMetric(counter, 2)
		filter.AddMetric(gauge, 5)
		filter.ObserveMetric(histogram, 0.25)
		d.SetHeaderBool("defined", counter >= 0 && gauge >= 0 && histogram >= 0 && counter != gauge && gauge != histogram && counter != histogram)
	default:
		return false
	}
	return true
}
