package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/wasmhost"
)

// builder turns a configuration into parts. What it made before is reused where
// nothing changed.
type builder struct {
	cfg  *config.Config
	host *wasmhost.Host
	log  *slog.Logger

	errs config.Errors
}

func (b *builder) errorf(keys []string, hint, format string, args ...any) {
	b.errs = append(b.errs, b.cfg.Errorf(keys, hint, format, args...))
}

// err returns all problems found so far.
func (b *builder) err() error {
	if len(b.errs) == 0 {
		return nil
	}
	return b.errs
}

// loadedFilter is a filter with what tells whether a later configuration asks
// for the same.
type loadedFilter struct {
	*wasmhost.Filter
	fingerprint string
}

// filters loads every filter of the configuration, those of have that did not
// change excepted.
func (b *builder) filters(ctx context.Context, have map[string]loadedFilter) map[string]loadedFilter {
	names := slices.Sorted(maps.Keys(b.cfg.Filters))
	loaded := make([]loadedFilter, len(names))
	failed := make([]error, len(names))
	var group errgroup.Group
	group.SetLimit(4)
	for i, name := range names {
		module, err := b.module(name)
		if err != nil {
			failed[i] = err
			continue
		}
		f := b.cfg.Filters[name]
		print := fingerprint(f, sha256.Sum256(module))
		if old, ok := have[name]; ok && old.fingerprint == print {
			loaded[i] = old
			continue
		}
		group.Go(func() error {
			filter, err := b.host.Load(ctx, wasmhost.FilterConfig{
				Name: name, Module: module, SHA256: f.SHA256, Stages: f.Stages,
				Config: f.Config, Limits: limits(f.Limits),
				Grants: wasmhost.Grants{Clock: f.Grants.Clock, Random: f.Grants.Random, Metrics: f.Grants.Metrics},
			})
			loaded[i], failed[i] = loadedFilter{filter, print}, err
			return nil
		})
	}
	_ = group.Wait()
	all := make(map[string]loadedFilter, len(names))
	for i, name := range names {
		if failed[i] != nil {
			b.errorf([]string{"filters", name, "path"}, "", "%s", failed[i])
			continue
		}
		all[name] = loaded[i]
	}
	return all
}

// module reads a filter's bytes: built in, or a file.
func (b *builder) module(name string) ([]byte, error) {
	f := b.cfg.Filters[name]
	if b.cfg.Process.RequirePins && f.SHA256 == "" && !strings.HasPrefix(f.Path, "stock:") {
		return nil, errors.New("has no sha256, and process.require_pins asks for one; `router filter inspect` prints it")
	}
	if kind, stock, ok := strings.Cut(f.Path, ":"); ok && (kind == "stock" || kind == "demo") {
		lookup := stock
		if kind == "demo" {
			lookup = f.Path
		}
		module, ok := filters.Lookup(lookup)
		if !ok {
			return nil, fmt.Errorf("there is no built-in filter %q; there are %s", stock, strings.Join(filters.List(), ", "))
		}
		return module, nil
	}
	return b.cfg.ReadFilter(name)
}

func limits(l config.Limits) wasmhost.Limits {
	return wasmhost.Limits{
		Time: l.Time.Std(), StartTime: l.StartTime.Std(),
		Memory: l.Memory.Bytes(), Output: l.Output.Bytes(), ModuleSize: l.ModuleSize.Bytes(),
		LogLines: l.LogLines, Targets: l.Targets, Emit: l.Emit, Fuel: l.Fuel,
	}
}

// fingerprint tells two configurations of a part apart. Secrets hide themselves
// from JSON, so parts that hold any must add them.
func fingerprint(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		data, err := json.Marshal(p)
		if err != nil {
			fmt.Fprintf(h, "%#v", p) // floats that JSON has no words for
		}
		h.Write(data)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// route returns the configuration of one route, without listener and sender.
func (b *builder) route(name string, loaded map[string]loadedFilter) router.RouteConfig {
	r := b.cfg.Routes[name]
	at := func(key string) []string { return []string{"routes", name, key} }
	check := func(key string, err error) {
		if err != nil {
			b.errorf(at(key), "", "%s", err)
		}
	}
	rc := router.RouteConfig{
		Name: name,
		Source: router.Source{
			Queue: r.Listen, Prefetch: r.Prefetch, Priority: r.Priority,
			Exclusive: r.Exclusive, DrainTimeout: b.cfg.Process.DrainTimeout.Std(),
		},
		Lanes:      r.Parallel,
		Retry:      router.RetryPolicy{MaxAttempts: r.Retry.MaxAttempts, Backoff: r.Retry.Backoff.Std(), MaxBackoff: r.Retry.MaxBackoff.Std()},
		DeadLetter: router.Target{Kind: router.TargetQueue, Queue: r.DeadLetter},
		MaxMessage: int(r.MaxMessage.Bytes()), AllowCC: r.AllowCC,
		DedupWindow: r.Dedup.Window, DedupTTL: r.Dedup.TTL.Std(),
		Logger: b.log,
	}
	var err error
	rc.OnError, err = router.ParsePolicy(r.OnError)
	check("on_error", err)
	rc.Allow, err = router.NewAllow(r.Allow)
	check("allow", err)
	switch r.Order {
	case "key":
		rc.Order = router.OrderKey
		rc.OrderBy, err = router.ParseOrderKey(r.OrderBy)
		check("order_by", err)
	case "none":
		rc.Order = router.OrderNone
	}
	for _, s := range r.Send {
		t, err := router.ParseTarget(s)
		check("send", err)
		rc.Send = append(rc.Send, t)
	}
	decider := ""
	for _, use := range r.Filters {
		f, ok := loaded[use]
		if !ok {
			continue // reported where it is defined
		}
		policy, err := router.ParsePolicy(b.cfg.Filters[use].OnError)
		if err != nil {
			b.errorf([]string{"filters", use, "on_error"}, "", "%s", err)
		}
		rc.Filters = append(rc.Filters, router.RouteFilter{Source: f, OnError: policy})
		if f.Stages().Has(router.Decide) && decider == "" {
			decider = use
		}
	}
	if decider == "" && len(r.Send) == 0 && len(rc.Filters) == len(r.Filters) {
		b.errorf([]string{"routes", name}, `add send = ["queue:NAME"], or a filter with a decide stage`, "nothing says where messages go")
	}
	return rc
}

// topology returns what the configuration declares, the dead-letter queues
// included.
func (b *builder) topology() amqp.Topology {
	var t amqp.Topology
	for _, name := range slices.Sorted(maps.Keys(b.cfg.Exchanges)) {
		x := b.cfg.Exchanges[name]
		t.Exchanges = append(t.Exchanges, amqp.Exchange{
			Name: name, Type: x.Type, Durable: x.Durable, AutoDelete: x.AutoDelete,
			Internal: x.Internal, Passive: x.Declare == "passive", Arguments: x.Arguments,
		})
	}
	declared := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(b.cfg.Queues)) {
		q := b.cfg.Queues[name]
		declared[name] = true
		t.Queues = append(t.Queues, amqp.Queue{
			Name: name, Type: q.Type, Durable: q.Durable, AutoDelete: q.AutoDelete,
			Exclusive: q.Exclusive, Passive: q.Declare == "passive", Arguments: q.Arguments,
		})
		for _, bind := range q.Bind {
			t.Bindings = append(t.Bindings, amqp.Binding{Exchange: bind.Exchange, Queue: name, Key: bind.Key, Arguments: bind.Arguments})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.cfg.Routes)) {
		q := b.cfg.Routes[name].DeadLetter
		if declared[q] {
			continue
		}
		declared[q] = true
		t.Queues = append(t.Queues, amqp.Queue{Name: q, Type: "classic", Durable: true})
	}
	return t
}

// broker returns the configuration of the broker adapter.
func (b *builder) broker() amqp.Config {
	c := b.cfg.Broker
	var urls []string
	for _, u := range c.URLs {
		urls = append(urls, u.Reveal())
	}
	if len(urls) == 0 && !c.URL.IsZero() {
		urls = []string{c.URL.Reveal()}
	}
	allowCC := false
	for _, r := range b.cfg.Routes {
		allowCC = allowCC || r.AllowCC
	}
	return amqp.Config{
		URLs: urls, Username: c.Username, Password: c.Password.Reveal(), VHost: c.VHost,
		TLS: amqp.TLSConfig{
			CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, ServerName: c.TLS.ServerName,
			External: c.TLS.External, InsecureSkipVerify: c.TLS.InsecureSkipVerify,
		},
		ConnectionName: c.ConnectionName, Heartbeat: c.Heartbeat.Std(), DialTimeout: c.DialTimeout.Std(),
		WriteTimeout: c.WriteTimeout.Std(), ConfirmTimeout: c.ConfirmTimeout.Std(),
		AllowPlaintext: c.AllowPlaintext, AllowCC: allowCC,
		Topology: b.topology(), Logger: b.log,
	}
}

// brokerFingerprint covers all of the broker's settings, secrets included,
// except the topology, which can change while connected.
func brokerFingerprint(c amqp.Config) string {
	c.Topology, c.Logger, c.Dial = amqp.Topology{}, nil, nil
	return fingerprint(fmt.Sprintf("%#v", c))
}

// BrokerConfig returns the broker adapter's configuration that a configuration
// file asks for.
func BrokerConfig(path string) (amqp.Config, error) {
	cfg, _, err := config.Load(path, config.Options{})
	if err != nil {
		return amqp.Config{}, err
	}
	b := &builder{cfg: cfg}
	return b.broker(), nil
}
