package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/rpc"
)

type base struct{}

func (base) Inherited(context.Context) error { return nil }

type inner struct {
	Zone string `json:"zone,omitempty"`
}

type Flavor struct {
	Size int
}

type bootArgs struct {
	inner
	Flavor `json:"flavor,omitempty"` //nolint:modernize // people write it, to no effect

	Name   string          `json:"name"`
	Cores  int             `json:"cores"`
	Weight float64         `json:"weight,omitempty"`
	Tags   []string        `json:"tags,omitempty"`
	Any    any             `json:"any,omitempty"`
	Raw    oslo.Raw        `json:"raw,omitempty"`
	At     *time.Time      `json:"at,omitempty"`
	Big    json.Number     `json:"big,omitzero"`
	Deep   struct{ N int } `json:"deep,omitempty"` //nolint:modernize // people write it, to no effect
	hidden string          //nolint:unused // what must not be reached
	Not    string          `json:"-"`
}

// compute has methods of every kind.
type compute struct {
	base
	got any
}

func (c *compute) BootServer(_ context.Context, args bootArgs) (string, error) {
	c.got = args
	return args.Name, nil
}

func (c *compute) ByPointer(_ context.Context, args *bootArgs) (int, error) { return args.Cores, nil }

func (c *compute) ByMap(_ context.Context, args map[string]any) (any, error) {
	return len(args), nil
}

func (c *compute) ByObject(_ context.Context, args oslo.Object) (oslo.Raw, error) {
	return args.Raw(), nil
}

func (c *compute) Whole(_ context.Context, in *rpc.Incoming) (rpc.Reply, error) {
	return rpc.Reply{Payload: in.Payload}, nil
}
func (c *compute) Nothing(context.Context, bootArgs) error { return nil }
func (c *compute) NoArgs(ctx context.Context) (string, error) {
	return rpc.IncomingFrom(ctx).Method, nil
}
func (c *compute) Fails(context.Context) error        { return errors.New("as it must") }
func (c *compute) Unfit(context.Context) (any, error) { return func() {}, nil }

func (c *compute) String() string                                     { return "" }
func (c *compute) Close() error                                       { return nil }
func (c *compute) NoContext(bootArgs) (string, error)                 { return "", nil }
func (c *compute) NoError(context.Context) string                     { return "" }
func (c *compute) ThreeResults(context.Context) (int, int, error)     { return 0, 0, nil }
func (c *compute) Variadic(context.Context, ...bootArgs) error        { return nil }
func (c *compute) Positional(context.Context, string) (string, error) { return "", nil }
func (c *compute) TwoArgs(context.Context, bootArgs, bootArgs) error  { return nil }
func (c *compute) unexported(context.Context) error                   { return nil } //nolint:unused // what must not be reached
func (c *compute) Embeds(context.Context, struct{ *inner }) error     { return nil }
func (c *compute) Twice(context.Context, struct {
	A int `json:"B"`
	B int
},
) error {
	return nil
}

func TestOnlySuitableMethodsAreExposed(t *testing.T) {
	methods, err := rpc.MethodsOf(&compute{}, rpc.Exposure{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"boot_server", "by_map", "by_object", "by_pointer", "fails", "no_args", "nothing", "unfit", "whole"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(methods))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	methods, err = rpc.MethodsOf(&compute{}, rpc.Exposure{Only: []string{"Inherited", "NoArgs"}, Names: map[string]string{"NoArgs": "noArgs"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"inherited", "noArgs"}, slices.Sorted(maps.Keys(methods))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if methods, err := rpc.MethodsOf(&compute{}, rpc.Exposure{Only: []string{}}); err != nil || len(methods) != 0 {
		t.Errorf("%d methods of an empty list, %v", len(methods), err)
	}
	// A value without pointer has only the methods of the value.
	if methods, err := rpc.MethodsOf(base{}, rpc.Exposure{}); err != nil || methods["inherited"] == nil {
		t.Errorf("%v, %v", methods, err)
	}
}

func TestExposuresAreChecked(t *testing.T) {
	for text, e := range map[string]rpc.Exposure{
		"rpc: *rpc_test.compute has no exported method Missing":                                                                                   {Only: []string{"Missing"}},
		"rpc: *rpc_test.compute has no exported method unexported":                                                                                {Only: []string{"unexported"}},
		"rpc: method Close of *rpc_test.compute: func(context.Context[, arguments]) ([result,] error) is what can be exposed, not func() error":   {Only: []string{"Close"}},
		"rpc: method Positional of *rpc_test.compute: arguments are a struct, map[string]any, oslo.Object or *rpc.Incoming, not string":           {Only: []string{"Positional"}},
		"rpc: method Embeds of *rpc_test.compute: field inner of struct { *rpc_test.inner }: embed a struct itself, or give it a json tag":        {Only: []string{"Embeds"}},
		"rpc: method Twice of *rpc_test.compute: struct { A int \"json:\\\"B\\\"\"; B int } has two fields for the argument B":                    {Only: []string{"Twice"}},
		"rpc: method NoArgs of *rpc_test.compute: another one is called fails too; Names can change that":                                         {Names: map[string]string{"NoArgs": "fails"}},
		"rpc: method NoArgs of *rpc_test.compute: the name \"_x\" is one that no client may call":                                                 {Names: map[string]string{"NoArgs": "_x"}},
		"rpc: method NoArgs of *rpc_test.compute: the name \"\" is one that no client may call":                                                   {Names: map[string]string{"NoArgs": ""}},
		"rpc: Names has Gone, which is no method of *rpc_test.compute that is exposed":                                                            {Names: map[string]string{"Gone": "gone"}},
		"rpc: method String of *rpc_test.compute: func(context.Context[, arguments]) ([result,] error) is what can be exposed, not func() string": {Names: map[string]string{"String": "text"}},
	} {
		if _, err := rpc.MethodsOf(&compute{}, e); err == nil || err.Error() != text {
			t.Errorf("\n got %v\nwant %s", err, text)
		}
	}
	if _, err := rpc.MethodsOf(nil, rpc.Exposure{}); err == nil {
		t.Error("methods of nil")
	}
}

func TestNamesOfMethods(t *testing.T) {
	for name, want := range map[string]string{
		"Echo": "echo", "BootServer": "boot_server", "GetServerByID": "get_server_by_id", "HTTPPort": "http_port",
		"V2": "v2", "Ping2Hosts": "ping2_hosts", "A": "a", "IDs": "i_ds", "Already_split": "already_split", "Ärger": "ärger",
	} {
		if got := rpc.MethodName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestMethodsTakeArgumentsAndGiveResults(t *testing.T) {
	c := &compute{}
	methods, err := rpc.MethodsOf(c, rpc.Exposure{Names: map[string]string{"NoArgs": "who"}})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, args string) string {
		t.Helper()
		in := &rpc.Incoming{Request: rpc.Request{Method: method, Payload: []byte(args)}}
		reply, err := methods[method](rpc.WithIncoming(t.Context(), in), in)
		if remote, ok := errors.AsType[*rpc.RemoteError](err); ok {
			return remote.Module + "." + remote.Class + ": " + remote.Message
		}
		if err != nil {
			return err.Error()
		}
		if reply.Payload == nil {
			return "nothing"
		}
		return string(reply.Payload)
	}
	for _, x := range []struct{ method, args, want string }{
		{"boot_server", `{"name": "n\u00e9", "cores": 2}`, `"n\u00e9"`},
		{"boot_server", `{"name": "\udc80", "cores": 2}`, `"\udc80"`},
		{"boot_server", `{"name": null, "cores": 2}`, `""`},
		{"by_pointer", `{"name": "n", "cores": 7}`, `7`},
		{"by_map", `{"a": 1, "b": NaN}`, `2`},
		{"by_map", ``, `0`},
		{"by_object", `{"a": 1.0,  "b": NaN}`, `{"a": 1.0,  "b": NaN}`},
		{"whole", `{"a": 1}`, `{"a": 1}`},
		{"nothing", `{"name": "n", "cores": 7}`, `nothing`},
		{"who", ``, `"who"`},
		{"who", `{}`, `"who"`},
		{"fails", `{}`, `as it must`},
		{"unfit", `{}`, `format: the result: marshal: a func() has no JSON form`},
		{"boot_server", `{"cores": 2}`, `builtins.TypeError: boot_server() missing 1 required positional argument: 'name'`},
		{"boot_server", ``, `builtins.TypeError: boot_server() missing 2 required positional arguments: 'name' and 'cores'`},
		{"boot_server", `{"name": "n", "cores": 1, "core": 1}`, `builtins.TypeError: boot_server() got an unexpected keyword argument 'core'`},
		{"boot_server", `{"name": "n", "cores": 1, "Name": "N"}`, `builtins.TypeError: boot_server() got an unexpected keyword argument 'Name'`},
		{"boot_server", `{"name": "n", "cores": 1, "hidden": ""}`, `builtins.TypeError: boot_server() got an unexpected keyword argument 'hidden'`},
		{"boot_server", `{"name": "n", "cores": 1, "Not": ""}`, `builtins.TypeError: boot_server() got an unexpected keyword argument 'Not'`},
		{"boot_server", `{"name": "n", "cores": 1, "Size": 1}`, `builtins.TypeError: boot_server() got an unexpected keyword argument 'Size'`},
		{"boot_server", `{"name": 1, "cores": 1}`, `builtins.TypeError: boot_server() argument 'name' must be a string`},
		{"boot_server", `{"name": "n", "cores": "1"}`, `builtins.TypeError: boot_server() argument 'cores' must not be this string`},
		{"boot_server", `{"name": "n", "cores": 1.5}`, `builtins.TypeError: boot_server() argument 'cores' must not be this number`},
		{"boot_server", `{"name": "n", "cores": 1, "deep": {"N": "x"}}`, `builtins.TypeError: boot_server() argument 'deep' must not have this string in N`},
		{"boot_server", `{"name": "n", "cores": 1, "at": "yesterday"}`, `builtins.TypeError: boot_server() argument 'at' cannot be read`},
		{"boot_server", `[1]`, `builtins.TypeError: boot_server() takes named arguments, and the request has none that can be read`},
		{"who", `{"x": 1}`, `builtins.TypeError: who() got an unexpected keyword argument 'x'`},
	} {
		if got := call(x.method, x.args); got != x.want {
			t.Errorf("%s(%s)\n got %s\nwant %s", x.method, x.args, got, x.want)
		}
	}

	all := `{"name": "n", "cores": 1, "weight": -Infinity, "tags": ["a"], "any": [1.0, NaN], "raw": {"k": 1.0}, "big": 1208925819614629174706176, "zone": "z", "at": null, "flavor": {"Size": 3}}`
	call("boot_server", all)
	got := c.got.(bootArgs)
	if !math.IsInf(got.Weight, -1) || !slices.Equal(got.Tags, []string{"a"}) || string(got.Raw) != `{"k": 1.0}` ||
		got.Big != "1208925819614629174706176" || got.Zone != "z" || got.Size != 3 || got.At != nil || fmt.Sprint(got.Any) != "[1.0 NaN]" {
		t.Errorf("%+v", got)
	}
}

func TestThreeMissingArgumentsAreNamedAsPythonDoes(t *testing.T) {
	methods, err := rpc.MethodsOf(three{}, rpc.Exposure{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = methods["add"](t.Context(), &rpc.Incoming{})
	if want := "remote error: TypeError: add() missing 3 required positional arguments: 'a', 'b', and 'C'"; err == nil || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
}

type three struct{}

func (three) Add(context.Context, struct {
	A int `json:"a"`
	B int `json:"b"`
	C int
},
) error {
	return nil
}
