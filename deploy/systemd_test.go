package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmrouter/router/config"
)

// closing is how long a router may take to close connections after the drain; see
// closeTimeout in cmd/router.
const closing = 10 * time.Second

// unit reads the settings of a unit file, in order.
func unit(t *testing.T, path string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string][]string{}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("%s:%d: %s", path, n+1, line)
		}
		settings[key] = append(settings[key], value)
	}
	return settings
}

func one(t *testing.T, settings map[string][]string, key string) string {
	t.Helper()
	values := settings[key]
	if len(values) == 0 {
		t.Fatalf("%s= is missing", key)
	}
	return values[len(values)-1]
}

func span(t *testing.T, settings map[string][]string, key string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(strings.ReplaceAll(one(t, settings, key), "min", "m"))
	if err != nil {
		t.Fatalf("%s=: %v", key, err)
	}
	return d
}

func TestTheUnitFitsTheRouter(t *testing.T) {
	u := unit(t, "systemd/router.service")
	preset := config.Default()
	if got, least := span(t, u, "TimeoutStopSec"), preset.Config.Process.DrainTimeout.Std()+closing; got <= least {
		t.Errorf("TimeoutStopSec=%s cuts a drain off, which may take %s", got, least)
	}
	if got, least := span(t, u, "TimeoutStartSec"), preset.Filter.Limits.CompileTime.Std(); got <= least {
		t.Errorf("TimeoutStartSec=%s cuts compiling off, which may take %s for each filter", got, least)
	}
	if got, least := span(t, u, "WatchdogSec"), 10*time.Second; got < least {
		t.Errorf("WatchdogSec=%s, though a status is looked at every 5 s", got)
	}
	for key, want := range map[string]string{
		"Type": "notify-reload", "DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "",
		// With yes the router cannot start: compiled filters are code that it wrote.
		"MemoryDenyWriteExecute":   "no",
		"RestartPreventExitStatus": "1",
	} {
		if got := one(t, u, key); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	cache := "/var/cache/" + one(t, u, "CacheDirectory")
	if !slices.Contains(u["Environment"], "XDG_CACHE_HOME="+cache) {
		t.Errorf("compiled filters are not kept in %s: %q", cache, u["Environment"])
	}
}

// What systemd itself says about the unit; of this project's machines some have a
// systemd that is too old for one line of it.
func TestSystemdTakesTheUnit(t *testing.T) {
	text, err := os.ReadFile("systemd/router.service")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "router.service")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "/usr/bin/router", self, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	const tooOld = "Failed to parse service type, ignoring: notify-reload"
	// Without an init of systemd there are no targets; that is no fault of the unit.
	const noTargets = "Unit sysinit.target not found"
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "--man=no", "verify", path).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, tooOld) && !strings.Contains(line, noTargets) {
			t.Errorf("systemd-analyze verify: %s", line)
		}
	}
	if err != nil && len(out) == 0 {
		t.Error(err)
	}
	out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=15", path).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

func TestTheDropInIsForTheUnit(t *testing.T) {
	if got, want := fmt.Sprint(unit(t, "systemd/before-253.conf")), "map[ExecReload:[/bin/kill -HUP $MAINPID]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
