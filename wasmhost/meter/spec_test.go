package meter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
)

// The test-suite of the core specification and of the proposals that are accepted,
// as wazero carries it in its module: every module that the runtime accepts is
// metered and must behave the same, every module that it refuses must not become
// acceptable by metering. The suite of exceptions has some modules that need other
// proposals, too.

var specLimits = Limits{MemoryPages: maxMemoryPages, TableElements: maxTableElements, BrTableTargets: 1 << 16}

type specFile struct {
	Commands []specCommand `json:"commands"`
}

type specCommand struct {
	Type       string     `json:"type"`
	Line       int        `json:"line"`
	Name       string     `json:"name"`
	As         string     `json:"as"`
	Filename   string     `json:"filename"`
	ModuleType string     `json:"module_type"`
	Action     specAction `json:"action"`
}

type specAction struct {
	Type   string      `json:"type"`
	Module string      `json:"module"`
	Field  string      `json:"field"`
	Args   []specValue `json:"args"`
}

type specValue struct {
	Type  string          `json:"type"`
	Lane  string          `json:"lane_type"`
	Value json.RawMessage `json:"value"`
}

var suites = []string{"v1", "v2", "tail-call", "exception-handling", "extended-const"}

func specDirs(t testing.TB) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	base := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	var dirs []string
	for _, suite := range suites {
		dir := filepath.Join(base, suite, "testdata")
		if _, err := os.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func TestSpecificationSuite(t *testing.T) {
	dirs := specDirs(t)
	if len(dirs) != len(suites) {
		t.Fatalf("the wazero of go.mod comes with these test-suites only: %q", dirs)
	}
	accepted, compared, refused := 0, 0, 0
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			s := &specRun{dir: dir}
			t.Run(filepath.Base(filepath.Dir(dir))+"/"+filepath.Base(file), func(t *testing.T) { s.run(t, file) })
			accepted += s.accepted
			compared += s.compared
			refused += s.refused
		}
	}
	t.Logf("%d modules metered, %d calls compared, %d modules need other proposals", accepted, compared, refused)
	if accepted == 0 || compared == 0 || refused > 3 {
		t.Error("that is not what the suite has")
	}
}

// specRun keeps two hosts, one for modules as they are and one for metered ones.
type specRun struct {
	dir                string
	plain, metered     *host
	lastA, lastB       instance
	byName             map[string][2]instance
	accepted, compared int
	refused            int
	ended              bool
}

func (s *specRun) run(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file specFile
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	s.plain, s.metered = newHost(t), newHost(t)
	s.byName = map[string][2]instance{}
	spectest, err := os.ReadFile(filepath.Join(s.dir, "..", "..", "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*host{s.plain, s.metered} {
		if _, err := h.runtime.InstantiateWithConfig(context.Background(), spectest, wazero.NewModuleConfig().WithName("spectest")); err != nil {
			t.Fatal(err)
		}
	}
	names := registeredNames(file.Commands)
	for i, c := range file.Commands {
		if s.ended {
			return
		}
		switch c.Type {
		case "module":
			s.module(t, c, names[i])
		case "assert_return", "assert_trap", "assert_exception", "action":
			s.invoke(t, c)
		case "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable":
			if strings.HasSuffix(c.Filename, ".wasm") {
				s.refusal(t, c)
			}
		}
	}
}

// registeredNames says under which name the module of a command is registered
// later: an instance can be named at its creation only.
func registeredNames(commands []specCommand) map[int]string {
	names, last, byName := map[int]string{}, -1, map[string]int{}
	for i, c := range commands {
		switch c.Type {
		case "module":
			last = i
			byName[c.Name] = i
		case "register":
			if c.Name == "" {
				names[last] = c.As
			} else {
				names[byName[c.Name]] = c.As
			}
		}
	}
	return names
}

func (s *specRun) read(t *testing.T, c specCommand) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join(s.dir, c.Filename))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func (s *specRun) module(t *testing.T, c specCommand, name string) {
	wasm := s.read(t, c)
	m, err := Instrument(wasm, specLimits)
	if errors.Is(err, ErrUnsupported) && (strings.Contains(err.Error(), "garbage-collected types") || strings.Contains(err.Error(), "typed function references")) {
		s.refused++
		s.lastA, s.lastB = instance{}, instance{}
		return
	}
	if errors.Is(err, ErrUnsupported) && strings.Contains(err.Error(), "table.grow without a small maximum") {
		s.ended = true // the modules after it need it
		return
	}
	if err != nil {
		t.Errorf("%s: %v", c.Filename, err)
		return
	}
	s.accepted++
	ctx, config := context.Background(), wazero.NewModuleConfig().WithName(name)
	a, err := s.plain.runtime.InstantiateWithConfig(ctx, wasm, config)
	if err != nil {
		t.Fatalf("%s as it is: %v", c.Filename, err)
	}
	b, err := s.metered.runtime.InstantiateWithConfig(ctx, m.Bytes, config.WithStartFunctions(StartFunction))
	if err != nil {
		t.Fatalf("%s metered: %v", c.Filename, err)
	}
	s.lastA, s.lastB = instance{a, s.plain}, instance{b, s.metered}
	if c.Name != "" {
		s.byName[c.Name] = [2]instance{s.lastA, s.lastB}
	}
}

func (s *specRun) invoke(t *testing.T, c specCommand) {
	a, b := s.lastA, s.lastB
	if c.Action.Module != "" {
		a, b = s.byName[c.Action.Module][0], s.byName[c.Action.Module][1]
	}
	if a.Module == nil {
		return
	}
	s.compared++
	if c.Action.Type == "get" {
		if x, y := a.ExportedGlobal(c.Action.Field).Get(), b.ExportedGlobal(c.Action.Field).Get(); x != y {
			t.Errorf("line %d: global %s is %d, metered %d", c.Line, c.Action.Field, x, y)
		}
		return
	}
	args := specArgs(t, c.Action.Args)
	want, got := a.call(c.Action.Field, args...), b.call(c.Action.Field, args...)
	for i, typ := range a.ExportedFunction(c.Action.Field).Definition().ResultTypes() {
		if typ == byte(FuncRef) && i < len(want.Results) && i < len(got.Results) { // an address of the host
			want.Results[i], got.Results[i] = min(want.Results[i], 1), min(got.Results[i], 1)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line %d: %s without and with metering (-want +got):\n%s", c.Line, c.Action.Field, diff)
	}
}

// refusal wants a module that cannot be instantiated not to become one that can.
// A few the runtime accepts against the suite, and those have effects on others.
func (s *specRun) refusal(t *testing.T, c specCommand) {
	wasm := s.read(t, c)
	_, plainErr := s.plain.tryInstantiate(wasm)
	m, err := Instrument(wasm, specLimits)
	if err == nil {
		_, err = s.metered.tryInstantiate(m.Bytes)
	}
	if plainErr != nil && err == nil {
		t.Errorf("line %d: %s (%s) is refused as it is, and accepted metered", c.Line, c.Filename, c.Type)
	}
}

func specArgs(t *testing.T, values []specValue) []uint64 {
	t.Helper()
	var args []uint64
	for _, v := range values {
		if v.Type != "v128" {
			var text string
			if err := json.Unmarshal(v.Value, &text); err != nil {
				t.Fatal(err)
			}
			args = append(args, specNumber(t, v.Type, text))
			continue
		}
		var lanes []string
		if err := json.Unmarshal(v.Value, &lanes); err != nil {
			t.Fatal(err)
		}
		var pair [2]uint64
		width := 128 / len(lanes)
		for i, lane := range lanes {
			bits := specNumber(t, v.Lane, lane)
			if width < 64 {
				bits &= 1<<width - 1
			}
			pair[i*width/64] |= bits << (i * width % 64)
		}
		args = append(args, pair[0], pair[1])
	}
	return args
}

func specNumber(t *testing.T, typ, text string) uint64 {
	t.Helper()
	switch {
	case text == "null":
		return 0
	case text == "nan:canonical" || text == "nan:arithmetic":
		return map[string]uint64{"f32": 0x7fc00000, "f64": 0x7ff8000000000000}[typ]
	}
	if strings.HasPrefix(text, "-") {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if typ == "i32" {
			return uint64(uint32(n))
		}
		return uint64(n)
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("%s %q: %w", typ, text, err))
	}
	if typ == "externref" {
		n++ // zero is null
	}
	return n
}
