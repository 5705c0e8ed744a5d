package filters_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/wasmrouter/router/router"
)

// rawFilter is a minimal host.
type rawFilter struct {
	mod  api.Module
	name string
}

func loadFilter(t testing.TB, name string, module []byte, config map[string]any) (router.Filter, error) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { r.Close(ctx) })
	b := r.NewHostModuleBuilder("router")
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, p, n uint32) {
		v, _ := m.Memory().Read(p, n)
		for i := range v {
			v[i] = byte(i*7 + 1)
		}
	}).Export("random")
	b.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, l, p, n uint32) {
		v, _ := m.Memory().Read(p, n)
		t.Logf("log %d %s", l, v)
	}).Export("log")
	b.NewFunctionBuilder().WithFunc(func(l int32) int32 { return 1 }).Export("log_enabled")
	if _, err := b.Instantiate(ctx); err != nil {
		return nil, err
	}
	w := r.NewHostModuleBuilder("wasi_snapshot_preview1")
	for _, f := range []struct {
		n string
		p string
	}{{"fd_write", "iiii"}, {"clock_time_get", "iIi"}, {"random_get", "ii"}, {"args_get", "ii"}, {"args_sizes_get", "ii"}, {"environ_get", "ii"}, {"environ_sizes_get", "ii"}, {"poll_oneoff", "iiii"}, {"proc_exit", "i"}, {"sched_yield", ""}, {"fd_close", "i"}, {"fd_fdstat_get", "ii"}, {"fd_fdstat_set_flags", "ii"}, {"fd_prestat_get", "ii"}, {"fd_prestat_dir_name", "iii"}} {
		var ps []api.ValueType
		for _, c := range f.p {
			if c == 'i' {
				ps = append(ps, api.ValueTypeI32)
			} else {
				ps = append(ps, api.ValueTypeI64)
			}
		}
		var rs []api.ValueType
		if f.n != "proc_exit" {
			rs = []api.ValueType{api.ValueTypeI32}
		}
		name := f.n
		w.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, s []uint64) {
			switch name {
			case "proc_exit":
				panic("exit " + strconv.Itoa(int(s[0])))
			case "fd_write":
				p, _ := m.Memory().ReadUint32Le(uint32(s[1]))
				n, _ := m.Memory().ReadUint32Le(uint32(s[1]) + 4)
				v, _ := m.Memory().Read(p, n)
				t.Logf("fd_write %s", v)
				m.Memory().WriteUint32Le(uint32(s[3]), n)
			case "fd_close", "fd_fdstat_get", "fd_fdstat_set_flags", "fd_prestat_get", "fd_prestat_dir_name":
				s[0] = 8
				return
			case "clock_time_get":
				m.Memory().WriteUint64Le(uint32(s[2]), uint64(time.Now().UnixNano()))
			case "args_sizes_get", "environ_sizes_get":
				m.Memory().WriteUint32Le(uint32(s[0]), 0)
				m.Memory().WriteUint32Le(uint32(s[1]), 0)
			case "random_get":
				v, _ := m.Memory().Read(uint32(s[0]), uint32(s[1]))
				for i := range v {
					v[i] = byte(i)
				}
			}
			if len(s) > 0 {
				s[0] = 0
			}
		}), ps, rs).Export(name)
	}
	if _, err := w.Instantiate(ctx); err != nil {
		return nil, err
	}
	mod, err := r.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, err
	}
	f := &rawFilter{mod, name}
	if init := mod.ExportedFunction("router_init"); init != nil {
		body, _ := json.Marshal(config)
		env := router.NewEnvelope(flatten("", config, map[string]any{}), body)
		if len(config) == 0 {
			env.Body = []byte("{}")
		}
		if err := f.call("router_init", &env, &router.Decision{}, 255); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func flatten(prefix string, v any, out map[string]any) map[string]any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(prefix+"."+k, e, out)
		}
	case []any:
		for i, e := range v {
			flatten(prefix+"."+strconv.Itoa(i), e, out)
		}
	case json.Number:
		n, _ := v.Int64()
		out[prefix[1:]] = n
	default:
		out[prefix[1:]] = v
	}
	return out
}

func (f *rawFilter) Run(ctx context.Context, s router.Stage, env *router.Envelope, d *router.Decision) error {
	if f.mod.ExportedFunction("router_"+s.String()) == nil {
		return nil
	}
	return f.call("router_"+s.String(), env, d, byte(s))
}

func (f *rawFilter) Close() {}

func (f *rawFilter) call(fn string, env *router.Envelope, d *router.Decision, stage byte) error {
	le := binary.LittleEndian
	b := make([]byte, 80)
	copy(b, "RTR1")
	le.PutUint16(b[4:], 80)
	blob := func(s []byte) (uint32, uint32) { o := len(b); b = append(b, s...); return uint32(o), uint32(len(s)) }
	props := []string{env.Origin.Exchange, env.Origin.RoutingKey, env.ContentType, env.ContentEncoding, env.CorrelationID, env.ReplyTo, env.MessageID, env.Type, env.AppID, env.UserID, env.Origin.Queue, f.name, env.Expiration, ""}
	le.PutUint32(b[48:], uint32(len(b)))
	le.PutUint32(b[52:], uint32(len(props)))
	po := len(b)
	b = append(b, make([]byte, 8*len(props))...)
	h := env.Headers()
	le.PutUint32(b[16:], uint32(len(b)))
	le.PutUint32(b[20:], uint32(len(h)))
	ho := len(b)
	b = append(b, make([]byte, 20*len(h))...)
	for i, p := range props {
		o, n := blob([]byte(p))
		le.PutUint32(b[po+8*i:], o)
		le.PutUint32(b[po+8*i+4:], n)
	}
	for k, v := range h {
		o, n := blob([]byte(k))
		e := ho
		ho += 20
		le.PutUint32(b[e:], o)
		le.PutUint16(b[e+4:], uint16(n))
		hh := fnv.New32a()
		hh.Write([]byte(k))
		le.PutUint32(b[e+16:], hh.Sum32())
		var t byte
		var raw []byte
		switch v := v.(type) {
		case string:
			t, raw = 1, []byte(v)
		case []byte:
			t, raw = 2, v
		case int64:
			t, raw = 3, le.AppendUint64(nil, uint64(v))
		case bool:
			t, raw = 5, []byte{0}
			if v {
				raw[0] = 1
			}
		case map[string]any:
			t = 7
			raw, _ = json.Marshal(v)
		case float64:
			t, raw = 4, make([]byte, 8)
		}
		b[e+6] = t
		o, n = blob(raw)
		le.PutUint32(b[e+8:], o)
		le.PutUint32(b[e+12:], n)
	}
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	o, n := blob(env.Body)
	le.PutUint32(b[24:], o)
	le.PutUint32(b[28:], n)
	le.PutUint64(b[32:], uint64(n))
	b[58] = stage
	le.PutUint32(b[8:], uint32(len(b)))
	ctx := context.Background()
	res, err := f.mod.ExportedFunction("router_buffer").Call(ctx, uint64(len(b)))
	if err != nil {
		return err
	}
	if res[0] == 0 || !f.mod.Memory().Write(uint32(res[0]), b) {
		return errors.New("memory")
	}
	res, err = f.mod.ExportedFunction(fn).Call(ctx, res[0], uint64(len(b)))
	if err != nil {
		return err
	}
	if int64(res[0]) < 0 {
		return fmt.Errorf("result %d", int64(res[0]))
	}
	if res[0] == 0 {
		return nil
	}
	delta, ok := f.mod.Memory().Read(uint32(res[0]>>32), uint32(res[0]))
	if !ok {
		return errors.New("bad delta")
	}
	first := true
	for len(delta) > 0 {
		kl, vl := int(le.Uint16(delta[2:])), int(le.Uint32(delta[4:]))
		k, v := string(delta[8:8+kl]), slices.Clone(delta[8+kl:8+kl+vl])
		switch delta[0] {
		case 1:
			var x any = string(v)
			if delta[1]>>4 == 3 {
				x = int64(le.Uint64(v))
			}
			env.SetHeader(k, x)
		case 2:
			env.DelHeader(k)
		case 4:
			if k[0] == 2 {
				env.ContentType = string(v)
			}
		case 5:
			if first {
				d.Targets = nil
			}
			first = false
			d.Action = router.Forward
			name, rest, _ := strings.Cut(string(v), "\x00")
			rest, ex, _ := strings.Cut(rest, "\x00")
			var tg router.Target
			switch k {
			case "queue":
				tg = router.Target{Kind: router.TargetQueue, Queue: name}
			case "exchange":
				tg = router.Target{Kind: router.TargetExchange, Exchange: name, Topic: rest}
			case "topic":
				tg = router.Target{Kind: router.TargetTopic, Topic: name, Exchange: rest}
			case "server":
				tg = router.Target{Kind: router.TargetServer, Topic: name, Server: rest, Exchange: ex}
			case "fanout":
				tg = router.Target{Kind: router.TargetFanout, Topic: name}
			case "notify":
				tg = router.Target{Kind: router.TargetNotify, Topic: name, Priority: rest, Exchange: ex}
			}
			d.Targets = append(d.Targets, tg)
		case 6:
			d.Reason = string(v)
			switch k {
			case "drop":
				d.Action = router.Drop
			case "reject":
				d.Action = router.Reject
			}
		case 7:
			env.Body = v
		case 8:
			x, _ := f.mod.Memory().Read(le.Uint32(v), le.Uint32(v[4:]))
			env.Body = slices.Clone(x)
		case 10:
			return &router.FilterError{Filter: f.name, Stage: router.Stage(stage), Class: "error", Err: fmt.Errorf("%s: %s", k, v)}
		}
		n := (8 + kl + vl + 7) &^ 7
		delta = delta[min(n, len(delta)):]
	}
	return nil
}
