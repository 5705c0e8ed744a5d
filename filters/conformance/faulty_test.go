package conformance_test

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/wasmhost"
)

// faulty is a host with a mistake.
type faulty struct {
	conformance.Host

	options func(*conformance.Options)
	config  func(map[string]any) map[string]any
	loaded  func(error) error
	in      func(*conformance.Message)
	stage   func(conformance.Stage) conformance.Stage
	out     func(*conformance.Outcome, error) error
	metrics map[string]float64
}

func (h *faulty) Load(ctx context.Context, module []byte, config map[string]any, o conformance.Options) (conformance.Filter, error) {
	if h.options != nil {
		h.options(&o)
	}
	if h.config != nil {
		config = h.config(config)
	}
	f, err := h.Host.Load(ctx, module, config, o)
	if h.loaded != nil {
		changed := h.loaded(err)
		if f != nil && changed != nil {
			changed = errors.Join(changed, f.Close())
		}
		err = changed
	}
	if err != nil {
		return nil, err
	}
	return &faultyFilter{f, h}, nil
}

// faultyFilter is a filter of such a host; there is none behind it when it
// should not have been loaded.
type faultyFilter struct {
	filter conformance.Filter
	host   *faulty
}

func (f *faultyFilter) Run(ctx context.Context, stage conformance.Stage, m *conformance.Message) (conformance.Outcome, error) {
	if f.filter == nil {
		return conformance.Outcome{}, errors.New("not loaded")
	}
	shown := *m
	shown.Headers = slices.Clone(m.Headers)
	if f.host.in != nil {
		f.host.in(&shown)
	}
	if f.host.stage != nil {
		stage = f.host.stage(stage)
	}
	out, err := f.filter.Run(ctx, stage, &shown)
	if f.host.out != nil {
		err = f.host.out(&out, err)
	}
	return out, err
}

func (f *faultyFilter) Close() error {
	if f.filter == nil {
		return nil
	}
	return f.filter.Close()
}

func (f *faultyFilter) Metrics() map[string]float64 {
	if f.host.metrics != nil {
		return f.host.metrics
	}
	return f.filter.(conformance.Meter).Metrics()
}

// failing changes the failures of calls.
func failing(change func(conformance.Failure) conformance.Failure) func(*conformance.Outcome, error) error {
	return func(_ *conformance.Outcome, err error) error {
		if f, ok := errors.AsType[*conformance.Failure](err); ok {
			changed := change(*f)
			return &changed
		}
		return err
	}
}

// counting changes what the kit's filter says of how many messages it has had.
func counting(change func(uint64) uint64) func(*conformance.Outcome, error) error {
	return func(out *conformance.Outcome, err error) error {
		for i, h := range out.Message.Headers {
			if h.Name == "count" && err == nil {
				n := change(binary.LittleEndian.Uint64(h.Data))
				out.Message.Headers[i].Data = binary.LittleEndian.AppendUint64(nil, n)
			}
		}
		return err
	}
}

// telling changes the body that the kit's filters tell in.
func telling(change func([]byte)) func(*conformance.Outcome, error) error {
	return func(out *conformance.Outcome, err error) error {
		if len(out.Message.Body) >= 800 && err == nil {
			out.Message.Body = slices.Clone(out.Message.Body)
			change(out.Message.Body)
		}
		return err
	}
}

const scripts = "host.header_get host.body_read host.time host.random host.init host.kv host.kv.bounds host.kv.ttl host.kv.evict host.kv.shared " +
	"host.wasi.clock host.wasi.random host.wasi.empty host.wasi.poll host.wasi.files "

const classes = "host.result.malformed host.result.unsupported host.result.internal host.result.other host.result.memory host.fail.trap host.fail.loop host.fail.recursion " +
	"host.fail.bounds host.fail.division host.fail.exit host.fail.abort host.fail.memory host.fail.pointer host.fail.no-buffer host.fail.too-big host.delta.error host.delta.invalid host.delta.place host.pointers host.wasi.exit "

const refusals = "host.refuse.marker host.refuse.newer host.refuse.buffer host.refuse.stage host.refuse.memory host.refuse.type host.refuse.import host.refuse.import-type host.refuse.start host.grant.metrics host.grant.kv "

// Each check of a host fails for a host that has the mistake.
func TestFaultyHostsAreFound(t *testing.T) {
	count := uint64(0)
	faults := []struct {
		name string
		host faulty
		want string // these checks fail
	}{
		{"it loses a header", faulty{in: func(m *conformance.Message) {
			m.Headers = m.Headers[:max(len(m.Headers)-1, 0)]
		}}, "host.frame host.needs.headers host.header_get"},
		{"it loses a property", faulty{in: func(m *conformance.Message) { m.Props[conformance.ReplyTo] = "" }}, "host.frame host.needs.properties"},
		{"it loses the body", faulty{in: func(m *conformance.Message) { m.Body = nil }}, "host.frame host.needs.body host.needs.prefix host.load.smallest"},
		{"it mistakes the stage", faulty{stage: func(conformance.Stage) conformance.Stage { return conformance.Decode }}, "host.frame host.delta.valid"},
		{"it hands over everything", faulty{config: func(config map[string]any) map[string]any {
			config = maps.Clone(config)
			delete(config, "needs")
			delete(config, "names")
			return config
		}}, "host.needs.nothing host.needs.body host.needs.headers host.needs.properties host.needs.prefix host.needs.names host.needs.bits"},
		{"it adds to the configuration", faulty{config: func(config map[string]any) map[string]any {
			config = maps.Clone(config)
			if config == nil {
				config = map[string]any{}
			}
			config["more"] = "x"
			return config
		}}, "host.config"},
		{"it loads everything", faulty{loaded: func(error) error { return nil }}, refusals + "host.refuse.garbage host.needs.bits"},
		{"it refuses without a reason", faulty{loaded: func(err error) error {
			if err != nil {
				return errors.New("no")
			}
			return nil
		}}, refusals},
		{"it loads nothing", faulty{loaded: func(error) error { return errors.New("no") }}, "host.load.smallest host.load.newer host.order host.kv"},
		{"it ignores failures", faulty{out: func(*conformance.Outcome, error) error { return nil }}, classes},
		{"its failures have no class", faulty{out: failing(func(f conformance.Failure) conformance.Failure { return conformance.Failure{Text: f.Text} })}, classes},
		{"its failures have no text", faulty{out: failing(func(f conformance.Failure) conformance.Failure { return conformance.Failure{Class: f.Class} })}, "host.delta.error host.fail.abort-text"},
		{"it changes messages that failed", faulty{out: func(out *conformance.Outcome, err error) error {
			if err != nil {
				out.Message.Priority++
			}
			return err
		}}, classes},
		{"it keeps every instance", faulty{out: counting(func(uint64) uint64 { count++; return count })}, "host.result.memory host.fail.trap host.fail.exit host.delta.invalid host.delta.place"},
		{"it replaces every instance", faulty{out: counting(func(uint64) uint64 { return 1 })}, "host.result.malformed host.result.unsupported host.delta.error host.fail.too-big"},
		{"it ignores deltas", faulty{out: func(out *conformance.Outcome, err error) error {
			if out.Message.Headers = slices.DeleteFunc(out.Message.Headers, func(h conformance.Header) bool { return h.Name == "utf8" }); err == nil {
				out.Targets = nil
			}
			return err
		}}, "host.delta.valid"},
		{"it logs nothing", faulty{options: func(o *conformance.Options) { o.Log = nil }}, "host.close host.log host.log.lines host.wasi.write"},
		{"it grants the clock", faulty{options: func(o *conformance.Options) { o.Clock = true }}, "host.time host.wasi.clock"},
		{"it grants random bytes", faulty{options: func(o *conformance.Options) { o.Random = true }}, "host.random host.wasi.random"},
		{"it grants nothing", faulty{options: func(o *conformance.Options) { o.KV, o.Metrics = false, false }}, "host.kv host.metric host.init"},
		{"it gives all the memory there is", faulty{options: func(o *conformance.Options) { o.Memory = 0 }}, "host.fail.too-big"},
		{"its messages are received at the same time", faulty{in: func(m *conformance.Message) { m.Received = 1 }}, "host.frame host.time host.kv.ttl host.wasi.clock"},
		{"its metrics stand still", faulty{metrics: map[string]float64{"level": 5}}, "host.metric"},
		{"it calls in another order", faulty{out: telling(func(b []byte) { b[33], b[34] = b[34], b[33] })}, "host.order"},
		{"it asks for too little room", faulty{out: telling(func(b []byte) {
			for at := 296; at < 320; at += 8 {
				binary.LittleEndian.PutUint32(b[at:], binary.LittleEndian.Uint32(b[at:])/2)
			}
		})}, "host.buffer"},
		{"its functions return one more", faulty{out: telling(func(b []byte) {
			for at := 80; at < 8000 && len(b) > 8008; at += 80 {
				b[at]++
			}
		})}, strings.ReplaceAll(strings.ReplaceAll(scripts, "host.random ", ""), "host.time ", "")},
		{"its functions write something else", faulty{out: telling(func(b []byte) {
			for at := 8008; at < len(b); at++ {
				b[at] ^= byte(1 + count&1)
			}
			count++
		})}, "host.header_get host.body_read host.kv host.wasi.write host.wasi.random host.random"},
	}
	covered := map[string]bool{}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			f.host.Host = host.Port(wasmhost.Limits{Time: 200 * time.Millisecond, StartTime: time.Minute})
			want := strings.Fields(f.want)
			for _, found := range conformance.CheckHost(t.Context(), &f.host, want...) {
				covered[found.ID] = true
				if found.Verdict != conformance.Fail {
					t.Errorf("it is not found: %s", found)
				}
			}
		})
	}
	for _, f := range routerReport() {
		if !covered[f.ID] {
			t.Errorf("%s fails for no faulty host", f.ID)
		}
	}
}
