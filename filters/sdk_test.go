package filters_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

const (
	buildC   = "build() { clang --target=wasm32 -std=c11 -O2 -mbulk-memory -ffreestanding -Wall -Wextra -Werror -I sdk/c -c $1 -o $OUT.o && wasm-ld --no-entry --stack-first -o $OUT $OUT.o; }; build "
	buildAS  = "asc --outFile $OUT -O3 --runtime incremental --exportStart _initialize sdk/assemblyscript/testdata/"
	buildGo  = "GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -buildmode=c-shared -buildvcs=false -ldflags='-s -w' -o $OUT ./sdk/go/filter/testdata/"
	buildWAT = "build() { sdk/wat/testdata/build.sh $1 $OUT; }; build "
)

var modules = map[string][]byte{} // that were built, by the command

// built builds a module, once, with a shell command that writes to $OUT.
func built(t testing.TB, command string) []byte {
	t.Helper()
	if module := modules[command]; module != nil {
		return module
	}
	out := filepath.Join(t.TempDir(), "f.wasm")
	shell(t, ".", command, "OUT="+out)
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	modules[command] = module
	return module
}

// The SDKs do the same with what the stock filters do not use.
func TestSDKsDoTheSame(t *testing.T) {
	for language, command := range map[string]string{
		"c": buildC + "sdk/c/testdata/all.c", "go": buildGo + "all",
		"rust": buildRust + "sdk/rust/testdata/all.rs", "wat": buildWAT + "sdk/wat/testdata/all.wat",
		"assemblyscript": buildAS + "all.ts",
	} {
		t.Run(language, func(t *testing.T) {
			ctx := context.Background()
			f, err := host.Load(ctx, wasmhost.FilterConfig{
				Name: "all", Module: built(t, command),
				Limits: wasmhost.Limits{Time: 10 * time.Second, StartTime: time.Minute},
				Grants: wasmhost.Grants{Metrics: true, KV: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close(ctx)
			in, err := f.Instance(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()

			before := router.NewEnvelope(map[string]any{"k": "v", "other": int64(1)}, []byte("a body"))
			before.Origin.Received = time.Unix(1, 0)
			env, d := before.Clone(), router.Decision{}
			if err := in.Run(ctx, router.Decide, &env, &d); err != nil {
				t.Fatal(err)
			}
			const headers = "header bytes: []uint8 [98 111 100 121]\nheader int: int64 -7\nheader k: removed\n"
			want := []string{
				"action: drop\nreason: split\n" + headers + "header time: bool true\n",
				"action: forward\ntarget: queue:a\n" + headers + "header time: bool true\nbody: one\n",
				"action: forward\ntarget: exchange:ex/key\ntarget: server:ctl/compute.host\ntype: second\nheader k: removed\nheader other: removed\n",
			}
			got := []string{describe(&before, &env, &d)}
			for i := range d.Emitted {
				e := &d.Emitted[i]
				got = append(got, describe(&before, &e.Envelope, &router.Decision{Action: router.Forward, Targets: e.Targets}))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}

			d.Reset()
			kv := before.Clone()
			if err := in.Run(ctx, router.Unpack, &kv, &d); err != nil {
				t.Fatal(err)
			}
			const wantKV = "header again: bool true\nheader deleted: bool true\nheader first: bool true\nheader get: int64 5\n" +
				"header none: bool true\nheader other: bool true\nheader refused: bool true\nheader set: bool true\nheader sum: int64 42\n" +
				"header swapped: bool true\nheader taken: bool true\nheader value: string value\n"
			if diff := cmp.Diff(wantKV, describe(&before, &kv, &d)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			d.Reset()
			if err := in.Run(ctx, router.Pack, &env, &d); err != nil || d.Action != router.Retry || d.Delay != 250*time.Millisecond || d.Reason != "later" {
				t.Errorf("pack: %+v, %v", d, err)
			}
			var fe *router.FilterError
			if err := in.Run(ctx, router.Encode, &env, &d); !errors.As(err, &fe) || fe.Class != wasmhost.ClassError || !fe.Retryable {
				t.Errorf("encode: %v", err)
			}
		})
	}
}

// A module imports only what it calls: the SDKs bring no grant that a filter does
// not need.
func TestUnusedHostFunctionsAreNotImported(t *testing.T) {
	for _, name := range []string{"content-router", "context-packer"} { // in C and in Go
		info, err := wasmhost.Inspect(stock(t, name), wasmhost.Limits{})
		if err != nil || len(info.Grants) > 0 {
			t.Errorf("%s needs the grants %v, %v", name, info.Grants, err)
		}
	}
	info, err := wasmhost.Inspect(built(t, buildAS+"body.ts"), wasmhost.Limits{})
	if diff := cmp.Diff([]string{"env.abort"}, info.Imports); err != nil || diff != "" {
		t.Errorf("a filter in AssemblyScript that calls nothing: %v (-want +got):\n%s", err, diff)
	}
}

// A Go filter may allocate: its collector keeps up. The calls leave far more
// behind than an instance may have.
func TestGarbageOfGoFiltersIsCollected(t *testing.T) {
	f, err := loadFilter(t, "garbage", built(t, buildGo+"garbage"), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 2<<10)
	for i := range 10000 { // about 100 MiB
		env, d := router.NewEnvelope(nil, body), router.Decision{}
		if err := f.Run(t.Context(), router.Decide, &env, &d); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}
