package app

import (
	"errors"
	"fmt"
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

// Refusal is why a filter was not loaded, for the one who wrote or configured it.
type Refusal struct {
	Key  string // of the filter's table that is to blame
	Text string // the module's file where it matters, the cause and the way out, on one line
	Err  error  // as the host has it
}

func (r *Refusal) Error() string { return r.Text }
func (r *Refusal) Unwrap() error { return r.Err }

// configRefused is in the host's errors of filters that found fault with their
// configuration.
const configRefused = "start: router_init: error: "

// Refused puts an error of [wasmhost.Host.Load] into the words that operators
// and authors get, wherever they meet it. File is what they call the module.
func Refused(name, file string, err error) *Refusal {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	text = strings.TrimPrefix(text, "filter "+name+": ")
	key := "path"
	switch what, rest, _ := strings.Cut(text, ": "); {
	case errors.Is(err, wasmhost.ErrPin):
		key = "sha256"
	case errors.Is(err, wasmhost.ErrGrant):
		key = "grants"
		text = strings.TrimPrefix(text, wasmhost.ErrGrant.Error()+": ")
	case strings.Contains(text, configRefused):
		_, why, _ := strings.Cut(text, configRefused)
		return &Refusal{"config", "the filter refuses it: " + strings.TrimPrefix(why, "config: "), err}
	case what == "stages" || what == "config":
		return &Refusal{what, rest, err}
	default:
		text = strings.TrimPrefix(text, wasmhost.ErrModule.Error()+": ")
	}
	return &Refusal{key, file + ": " + text, err}
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
		return nil, true, fmt.Errorf("there is no built-in filter %q; `router filter list` shows them", stock)
	}
	return module, true, nil
}
