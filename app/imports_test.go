package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The house of docs/ARCHITECTURE.md. A package may import packages of lower
// floors; sideways and upward is forbidden but for what beside names.
var (
	floors = map[string]int{
		"config": 0, "pool": 0, "waiter": 0, "filters": 0, "broker": 0, "internal": 0,
		"router": 1,
		"amqp":   2, "wasmhost": 2, "oslo": 2, "rpc": 2, "admin": 2, "telemetry": 2,
		"app": 3, "transport": 3,
		"cmd": 4,
		"e2e": 5, "deploy": 5, "examples": 5,
	}
	beside = map[string][]string{
		"app":          {"transport"},           // whose calls its benchmark measures
		"rpc":          {"oslo"},                // rpc joins the wire format to the router's ports
		"internal/gen": {"config", "telemetry"}, // a generator, in no binary
		// Both brokers that tests run on, in no binary.
		"internal/testbroker": {"broker", "internal/rabbitnode", "internal/testkit"},
	}
	// above names packages of upper floors that a package's tests may use: what
	// filters are tried with is what their authors try theirs with.
	above = map[string][]string{"filters": {"app/workbench"}}
	// only narrows what a package takes from the floors below.
	only = map[string][]string{
		"router": {"pool", "waiter"},
	}
	// owners says who may import a foreign module outside of tests. A module
	// that is not here may be imported by nobody.
	owners = map[string][]string{
		"github.com/rabbitmq/amqp091-go":      {"amqp"},
		"github.com/tetratelabs/wazero":       {"wasmhost"},
		"github.com/BurntSushi/toml":          {"config"},
		"github.com/spf13/cobra":              {"cmd"},
		"github.com/spf13/pflag":              {"cmd"}, // cobra's flags
		"github.com/invopop/jsonschema":       {"internal/gen"},
		"github.com/prometheus/client_golang": {"telemetry", "admin", "internal/gen"},
		"go.opentelemetry.io/otel":            {"telemetry"},
		"github.com/go-logr/logr":             {"telemetry"},         // to silence OpenTelemetry's logger
		"go.opentelemetry.io/proto/otlp":      {"internal/otlptest"}, // a receiver for tests
		"google.golang.org/protobuf":          {"internal/otlptest"},
		"github.com/google/uuid":              {"router", "amqp", "rpc", "oslo", "app", "cmd"},
		"github.com/coreos/go-systemd/v22":    {"app"},
		"go.uber.org/goleak":                  {"internal/testkit"},
		// What answers are held against the OpenAPI file with, in no binary.
		"github.com/santhosh-tekuri/jsonschema/v6": {"internal/apitest"},
		"go.yaml.in/yaml/v3":                       {"internal/apitest"},
		"golang.org/x":                             {"amqp", "wasmhost", "router", "rpc", "admin", "telemetry", "app", "cmd", "config", "pool", "waiter", "internal/rabbitnode"},
	}
)

const module = "github.com/wasmrouter/router"

// pkg is what go list says about a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// room returns the part of the house a package of ours belongs to: its first
// path element, two below internal.
func room(path string) (string, bool) {
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return "", false
	}
	parts := strings.SplitN(rest, "/", 3)
	if parts[0] == "internal" && len(parts) > 1 {
		return "internal/" + parts[1], true
	}
	return parts[0], true
}

func floor(room string) (int, bool) {
	top, _, _ := strings.Cut(room, "/")
	n, ok := floors[top]
	return n, ok
}

// violations returns what the packages import against the rules, one line each.
func violations(pkgs []pkg) []string {
	var bad []string
	for _, p := range pkgs {
		from, ours := room(p.ImportPath)
		level, known := floor(from)
		if !ours || !known {
			bad = append(bad, p.ImportPath+" is on no floor")
			continue
		}
		for _, path := range p.Imports {
			if why := forbidden(from, level, path); why != "" {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s", p.ImportPath, path, why))
			}
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			exempt := slices.Contains(above[from], strings.TrimPrefix(path, module+"/"))
			if to, ours := room(path); ours && !exempt && level < floors["app"] && (to == "app" || to == "cmd") {
				bad = append(bad, fmt.Sprintf("%s tests with %s: its tests must not need the floors above", p.ImportPath, path))
			}
		}
	}
	slices.Sort(bad)
	return bad
}

// forbidden says why a package of room from must not import path; empty means
// that it may.
func forbidden(from string, level int, path string) string {
	to, ours := room(path)
	if !ours {
		return foreign(from, path)
	}
	below, known := floor(to)
	switch {
	case to == from || slices.Contains(beside[from], to):
		return ""
	case !known:
		return "it is on no floor"
	case below > level:
		return "upward"
	case below == level:
		return "sideways"
	case only[from] != nil && !slices.Contains(only[from], to):
		return "not for " + from
	}
	return ""
}

func foreign(from, path string) string {
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for mod, rooms := range owners {
		if path == mod || strings.HasPrefix(path, mod+"/") {
			if slices.Contains(rooms, from) || from == "e2e" {
				return ""
			}
			return "only " + strings.Join(rooms, ", ") + " may"
		}
	}
	return "a module without an owner"
}

func TestImportsFollowTheHouse(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []pkg
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list found %d packages", len(pkgs))
	}
	for _, line := range violations(pkgs) {
		t.Error(line)
	}
}

func TestTheImportRuleSeesWhatIsForbidden(t *testing.T) {
	at := func(s string) string { return module + "/" + s }
	got := violations([]pkg{
		{ImportPath: at("router"), Imports: []string{"context", at("pool"), at("config"), at("amqp"), "github.com/google/uuid"}},
		{ImportPath: at("amqp/wire"), Imports: []string{at("amqp"), at("router"), at("oslo"), "github.com/rabbitmq/amqp091-go"}},
		{ImportPath: at("rpc"), Imports: []string{at("oslo"), at("amqp")}},
		{ImportPath: at("pool"), TestImports: []string{"github.com/jackc/puddle/v2"}, XTestImports: []string{at("app")}},
		{ImportPath: at("filters"), XTestImports: []string{at("app/workbench"), at("app/bench")}},
		{ImportPath: at("app/bench"), Imports: []string{at("amqp"), "github.com/rabbitmq/amqp091-go", "example.com/new"}},
		{ImportPath: at("misc")},
	})
	want := []string{
		at("amqp/wire") + " imports " + at("oslo") + ": sideways",
		at("app/bench") + " imports example.com/new: a module without an owner",
		at("app/bench") + " imports github.com/rabbitmq/amqp091-go: only amqp may",
		at("filters") + " tests with " + at("app/bench") + ": its tests must not need the floors above",
		at("misc") + " is on no floor",
		at("pool") + " tests with " + at("app") + ": its tests must not need the floors above",
		at("router") + " imports " + at("amqp") + ": upward",
		at("router") + " imports " + at("config") + ": not for router",
		at("rpc") + " imports " + at("amqp") + ": sideways",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}
