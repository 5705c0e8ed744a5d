package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	extism "github.com/extism/go-sdk"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasmrouter/router/filters/conformance"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
	"github.com/wasmrouter/router/wasmhost/meter"
)

const queue = "orders.created"

// open returns the engines for one guest, each tried once.
func open(ctx context.Context, lang string, wasm []byte) ([]engine, error) {
	metered, err := meter.Instrument(wasm, meter.Limits{})
	if err != nil {
		return nil, err
	}
	var engines []engine
	for _, e := range []struct {
		name string
		open func() (engine, error)
	}{
		{"unmetered", func() (engine, error) { return raw(ctx, wasm, false) }},
		{"metered", func() (engine, error) { return raw(ctx, metered.Bytes, false) }},
		{"close on context", func() (engine, error) { return raw(ctx, wasm, true) }},
		{"router", func() (engine, error) { return host(ctx, wasm) }},
		{"Extism", func() (engine, error) { return plugin(ctx) }},
	} {
		if e.name == "Extism" && lang != "c" { // its guest is in C
			continue
		}
		one, err := e.open()
		if err == nil {
			err = one.call()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		one.name = e.name
		engines = append(engines, one)
	}
	return engines, nil
}

// host is the router's own host with all limits on.
func host(ctx context.Context, wasm []byte) (engine, error) {
	h, err := wasmhost.New(ctx, wasmhost.Config{})
	if err != nil {
		return engine{}, err
	}
	f, err := h.Load(ctx, wasmhost.FilterConfig{Name: "guest", Module: wasm, Config: map[string]any{"queue": queue}})
	if err != nil {
		return engine{}, err
	}
	in, err := f.Instance(ctx)
	if err != nil {
		return engine{}, err
	}
	headers := make(map[string]any)
	for k, v := range messageHeaders {
		headers[k] = v
	}
	env := router.NewEnvelope(headers, messageBody())
	var d router.Decision
	want := router.Target{Kind: router.TargetQueue, Queue: queue}
	return engine{
		call: func() error {
			d.Reset()
			if err := in.Run(ctx, router.Decide, &env, &d); err != nil {
				return err
			}
			if len(d.Targets) != 1 || d.Targets[0] != want {
				return fmt.Errorf("it decided %v", d.Targets)
			}
			return nil
		},
		close: func(ctx context.Context) error {
			in.Close()
			return h.Close(ctx)
		},
	}, nil
}

// raw calls the handler on a frame that lies ready in the guest's memory, with
// nothing around it.
func raw(ctx context.Context, wasm []byte, closeOnDone bool) (engine, error) {
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(closeOnDone))
	compiled, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return engine{}, err
	}
	if err := stub(ctx, r, compiled); err != nil {
		return engine{}, err
	}
	mod, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions(meter.StartFunction, "_initialize"))
	if err != nil {
		return engine{}, err
	}
	config := conformance.Message{Headers: []conformance.Header{{Name: "queue", Value: conformance.TextValue(queue)}}, Body: []byte(`{"queue":"` + queue + `"}`)}
	if r, err := put(ctx, mod, "router_init", conformance.Frame(&config, conformance.Config, conformance.Everything, conformance.Layout{})); err != nil || r != 0 {
		return engine{}, errors.Join(fmt.Errorf("router_init: %#x", r), err)
	}
	message := conformance.Message{Body: messageBody()}
	for k, v := range messageHeaders {
		message.Headers = append(message.Headers, conformance.Header{Name: k, Value: conformance.TextValue(v)})
	}
	frame := conformance.Frame(&message, conformance.Decide, conformance.Everything, conformance.Layout{})
	result, err := put(ctx, mod, "router_decide", frame)
	if err != nil {
		return engine{}, err
	}
	delta, _ := mod.Memory().Read(uint32(result>>32), uint32(result))
	if !bytes.Contains(delta, []byte(queue)) {
		return engine{}, fmt.Errorf("it answered %q", delta)
	}
	ptr, err := mod.ExportedFunction("router_buffer").Call(ctx, uint64(len(frame)))
	if err != nil {
		return engine{}, err
	}
	fn := mod.ExportedFunction("router_decide")
	var stack [2]uint64
	return engine{
		call: func() error {
			stack = [2]uint64{ptr[0], uint64(len(frame))}
			if err := fn.CallWithStack(ctx, stack[:]); err != nil {
				return err
			}
			if int64(stack[0]) <= 0 {
				return fmt.Errorf("it answered %#x", stack[0])
			}
			return nil
		},
		close: r.Close,
	}, nil
}

// put hands a frame to a handler.
func put(ctx context.Context, mod api.Module, handler string, frame []byte) (uint64, error) {
	fn := mod.ExportedFunction(handler)
	if fn == nil {
		return 0, fmt.Errorf("no %s", handler)
	}
	ptr, err := mod.ExportedFunction("router_buffer").Call(ctx, uint64(len(frame)))
	if err != nil {
		return 0, err
	}
	if !mod.Memory().Write(uint32(ptr[0]), frame) {
		return 0, fmt.Errorf("a buffer at %#x", ptr[0])
	}
	result, err := fn.Call(ctx, ptr[0], uint64(len(frame)))
	if err != nil {
		return 0, err
	}
	return result[0], nil
}

// stub gives the module what it imports: WASI, fuel without end, and nothing
// for the rest.
func stub(ctx context.Context, r wazero.Runtime, compiled wazero.CompiledModule) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return err
	}
	builders := make(map[string]wazero.HostModuleBuilder)
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == wasi_snapshot_preview1.ModuleName {
			continue
		}
		b, ok := builders[module]
		if !ok {
			b = r.NewHostModuleBuilder(module)
		}
		run := api.GoModuleFunc(func(context.Context, api.Module, []uint64) {})
		if module == meter.FuelModule {
			run = func(_ context.Context, mod api.Module, _ []uint64) {
				mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal).Set(4000)
			}
		}
		builders[module] = b.NewFunctionBuilder().WithGoModuleFunction(run, f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// plugin runs the same work by the Extism SDK, with a time limit, as its users
// would: the body goes in, the queue comes out.
func plugin(ctx context.Context) (engine, error) {
	wasm, err := buildPlugin(ctx)
	if err != nil {
		return engine{}, err
	}
	manifest := extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: wasm}}, Timeout: 1000}
	p, err := extism.NewPlugin(ctx, manifest, extism.PluginConfig{}, nil)
	if err != nil {
		return engine{}, err
	}
	body := messageBody()
	return engine{
		call: func() error {
			code, out, err := p.Call("route", body)
			if err != nil || code != 0 || string(out) != queue {
				return errors.Join(fmt.Errorf("it answered %d %q", code, out), err)
			}
			return nil
		},
		close: p.Close,
	}, nil
}

// messageBody is a JSON document of 1 KB whose type stands at three quarters.
func messageBody() []byte {
	var b bytes.Buffer
	b.WriteString(`{"id":"3f2a9c1e-7d44-4a43-9d52-0f6b1c2d3e4f","items":[`)
	for i := 0; b.Len() < 700; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"item-%04d","count":%d,"price":%d.5,"tags":["a","b"]}`, i, i+1, 10*i)
	}
	b.WriteString(`],"type":"created","note":"`)
	b.WriteString(strings.Repeat("x", 1024-b.Len()-2))
	b.WriteString(`"}`)
	return b.Bytes()
}

var messageHeaders = map[string]string{
	"tenant": "acme", "type": "order.created", "region": "eu-west-1", "source": "shop", "version": "2.1", "user": "u-1234567",
	"trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "session": "s-0123456789abcdef",
	"priority": "7", "attempt": "1", "sampled": "true", "weight": "0.5",
}
