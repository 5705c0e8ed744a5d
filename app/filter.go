package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/wasmhost"
)

// FilterConfig is a filter's table and module as the host takes them.
func FilterConfig(name string, f config.Filter, module []byte) wasmhost.FilterConfig {
	return wasmhost.FilterConfig{
		Name: name, Module: module, SHA256: f.SHA256, Stages: f.Stages,
		Config: f.Config, Limits: limits(f.Limits),
		Grants: wasmhost.Grants{Clock: f.Grants.Clock, Random: f.Grants.Random, Metrics: f.Grants.Metrics, KV: f.Grants.KV},
	}
}

// NewHost returns a host for filters that keeps compiled modules in dir. When
// dir is empty it is the user's cache directory, and a directory that cannot be
// used is then a warning, not an error. The caller closes the host.
func NewHost(ctx context.Context, dir string, log *slog.Logger) (*wasmhost.Host, error) {
	if dir != "" {
		return wasmhost.New(ctx, wasmhost.Config{CacheDir: dir, Logger: log})
	}
	return newHost(ctx, &config.Config{}, log)
}

// BuiltIn returns the module of a path of the form stock:NAME or demo:NAME, and
// whether the path has that form.
func BuiltIn(path string) (module []byte, ok bool, err error) {
	kind, stock, ok := strings.Cut(path, ":")
	if !ok || kind != "stock" && kind != "demo" {
		return nil, false, nil
	}
	if kind == "demo" {
		stock = path
	}
	module, found := filters.Lookup(stock)
	if !found {
		known := slices.DeleteFunc(filters.List(), func(s string) bool { return strings.HasPrefix(s, "demo:") })
		return nil, true, fmt.Errorf("there is no built-in filter %q; there are %s", stock, strings.Join(known, ", "))
	}
	return module, true, nil
}
