package config

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadNamesWantsNoSecretsAndNoKeysThatAreRight(t *testing.T) {
	path := write(t, t.TempDir(), "router.toml", "[broker]\npassword = \"${file:/nowhere}\"\n[queues.b]\n[queues.\"a.in\"]\n[exchanges.x]\n[filters.f]\nmistake = 1\n[routes.r]\n", 0o600)
	got, err := ReadNames(path)
	want := Names{Exchanges: []string{"x"}, Queues: []string{"a.in", "b"}, Filters: []string{"f"}, Routes: []string{"r"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := ReadNames(filepath.Join(t.TempDir(), "absent.toml")); err == nil {
		t.Error("no error for a file that is missing")
	}
	if _, err := ReadNames(write(t, t.TempDir(), "router.toml", "[routes", 0o600)); err == nil {
		t.Error("no error for what is not TOML")
	}
}
