package wasmhost

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"github.com/wasmrouter/router/router"
)

// apply makes the changes of a delta that decode has accepted. It cannot fail.
func (x *delta) apply(env *router.Envelope, d *router.Decision) {
	cur := env
	emitting := -1 // index in d.Emitted
	replaced := false
	for i := range x.ops {
		o := &x.ops[i]
		switch o.code {
		case opSetHeader:
			x.setHeader(cur, o)
		case opDelHeader:
			cur.DelHeader(string(o.key))
		case opClearHeaders:
			cur.ClearHeaders()
		case opSetProp:
			setProp(cur, o)
		case opBody, opBodyRef:
			cur.Body = bytes.Clone(o.value)
			if cur.Body == nil {
				cur.Body = []byte{}
			}
		case opEmit:
			d.Emitted = append(d.Emitted, router.Emission{Envelope: env.Clone()})
			emitting = len(d.Emitted) - 1
			cur = &d.Emitted[emitting].Envelope
		case opTarget:
			if emitting >= 0 {
				d.Emitted[emitting].Targets = append(d.Emitted[emitting].Targets, *o.target)
				continue
			}
			if !replaced {
				d.Targets, replaced = d.Targets[:0], true
			}
			d.Targets = append(d.Targets, *o.target)
			d.Action, d.Reason, d.Delay = router.Forward, "", 0
		}
	}
	switch {
	case x.action == router.Undecided:
	case x.action == router.Forward && len(d.Targets) == 0:
		// Nobody has named a target: those of the route are what is meant, and
		// without any the message must fail.
		d.Action, d.Reason, d.Delay = router.Undecided, "", 0
	default:
		d.Action, d.Delay = x.action, x.delay
		d.Reason = ""
		if len(x.reason) > 0 {
			d.Reason = cutText(string(x.reason[:min(len(x.reason), maxReason+1)]), maxReason)
		}
	}
	d.Stop = d.Stop || x.stop
}

func (x *delta) setHeader(env *router.Envelope, o *op) {
	old, has := env.Headers()[string(o.key)]
	typ := o.flags >> 4
	if has && sameValue(old, typ, o.value) {
		return
	}
	var v any
	switch typ {
	case typeUTF8:
		v = string(o.value)
	case typeBytes:
		v = append([]byte{}, o.value...)
	case typeInt:
		v = int64(binary.LittleEndian.Uint64(o.value))
	case typeFloat:
		v = math.Float64frombits(binary.LittleEndian.Uint64(o.value))
	case typeBool:
		v = o.value[0] == 1
	case typeTime:
		v = time.Unix(int64(binary.LittleEndian.Uint64(o.value)), 0).UTC()
	}
	env.SetHeader(x.names.str(o.key), v)
}

// sameValue reports whether old is what the ABI shows as a value of that type
// and bytes, so that setting it would only lose its AMQP type.
func sameValue(old any, typ uint8, value []byte) bool {
	switch v := old.(type) {
	case nil:
		return typ == typeNull
	case string:
		return typ == typeUTF8 && v == string(value)
	case []byte:
		return typ == typeBytes && bytes.Equal(v, value)
	case bool:
		return typ == typeBool && v == (value[0] == 1)
	case float64:
		return typ == typeFloat && math.Float64bits(v) == binary.LittleEndian.Uint64(value)
	case float32:
		return typ == typeFloat && math.Float64bits(float64(v)) == binary.LittleEndian.Uint64(value)
	case time.Time:
		return typ == typeTime && v.Unix() == int64(binary.LittleEndian.Uint64(value))
	case router.Decimal:
		return typ == typeUTF8 && string(appendDecimal(nil, v)) == string(value)
	}
	if typ != typeInt {
		return false
	}
	var i int64
	switch v := old.(type) {
	case int64:
		i = v
	case int32:
		i = int64(v)
	case int:
		i = int64(v)
	case int8:
		i = int64(v)
	case uint8:
		i = int64(v)
	case int16:
		i = int64(v)
	case uint16:
		i = int64(v)
	case uint32:
		i = int64(v)
	default:
		return false
	}
	return i == int64(binary.LittleEndian.Uint64(value))
}

func setProp(env *router.Envelope, o *op) {
	p := &env.Properties
	switch o.slot {
	case slotPriority:
		p.Priority = o.value[0]
		return
	case slotDeliveryMode:
		p.DeliveryMode = o.value[0]
		return
	case slotTimestamp:
		p.Timestamp = time.Time{}
		if len(o.value) == 8 {
			p.Timestamp = time.Unix(int64(binary.LittleEndian.Uint64(o.value)), 0).UTC()
		}
		return
	}
	field := [...]*string{
		2: &p.ContentType, 3: &p.ContentEncoding, 4: &p.CorrelationID, 5: &p.ReplyTo,
		6: &p.MessageID, 7: &p.Type, 8: &p.AppID, slotExpiration: &p.Expiration,
	}[o.slot]
	if *field != string(o.value) {
		*field = string(o.value)
	}
}
