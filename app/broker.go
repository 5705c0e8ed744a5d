package app

import (
	"log/slog"
	"maps"
	"reflect"
	"slices"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/telemetry/otlp"
)

// LinkConfig returns what a configuration file says about how to reach the broker,
// and where traces go.
func LinkConfig(path string) (amqp.Config, otlp.Config, error) {
	cfg, _, err := config.Load(path, config.Options{})
	if err != nil {
		return amqp.Config{}, otlp.Config{}, err
	}
	return brokerConfig(cfg, nil), tracesConfig(cfg), nil
}

// broker returns the broker of the configuration: current when it is the same,
// or nil with a problem noted.
func (b *builder) broker(current *brokerPart) *brokerPart {
	cfg, own := brokerConfig(b.cfg, b.log), embeddedConfig(b.cfg)
	if current != nil && sameBroker(current.cfg, cfg) && current.own.is(own) {
		return current
	}
	made, err := amqp.New(cfg)
	if err != nil {
		b.fail([]string{"broker"}, "", err)
		return nil
	}
	part := &brokerPart{Broker: made, cfg: cfg}
	switch {
	case own == nil:
	case current != nil && current.own.is(own): // what differs is how to connect
		part.own = current.own
		part.own.users++
	default:
		part.own = newEmbedded(own, b.log)
	}
	return part
}

// sameBroker reports whether a and b differ in no more than the topology, which
// can change while connected.
func sameBroker(a, b amqp.Config) bool {
	a.Topology, b.Topology = amqp.Topology{}, amqp.Topology{}
	a.Logger, b.Logger = nil, nil
	return reflect.DeepEqual(a, b)
}

func brokerConfig(cfg *config.Config, log *slog.Logger) amqp.Config {
	c := cfg.Broker
	var urls []string
	for _, u := range c.URLs {
		urls = append(urls, u.Reveal())
	}
	if own, ok := c.Embedded(); ok {
		urls = []string{own.Reveal()}
	} else if len(urls) == 0 && !c.URL.IsZero() {
		urls = []string{c.URL.Reveal()}
	}
	allowCC := false
	for _, r := range cfg.Routes {
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
		Topology: topology(cfg), Logger: log,
	}
}

// topology returns what the configuration declares, the dead-letter queues
// included.
func topology(cfg *config.Config) amqp.Topology {
	var t amqp.Topology
	for _, name := range slices.Sorted(maps.Keys(cfg.Exchanges)) {
		x := cfg.Exchanges[name]
		t.Exchanges = append(t.Exchanges, amqp.Exchange{
			Name: name, Type: x.Type, Durable: x.Durable, AutoDelete: x.AutoDelete,
			Internal: x.Internal, Passive: x.Declare == "passive", Arguments: x.Arguments,
		})
	}
	declared := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(cfg.Queues)) {
		q := cfg.Queues[name]
		declared[name] = true
		t.Queues = append(t.Queues, amqp.Queue{
			Name: name, Type: q.Type, Durable: q.Durable, AutoDelete: q.AutoDelete,
			Exclusive: q.Exclusive, Passive: q.Declare == "passive", Arguments: q.Arguments,
		})
		for _, bind := range q.Bind {
			t.Bindings = append(t.Bindings, amqp.Binding{Exchange: bind.Exchange, Queue: name, Key: bind.Key, Arguments: bind.Arguments})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		q := cfg.Routes[name].DeadLetter
		if declared[q] {
			continue
		}
		declared[q] = true
		t.Queues = append(t.Queues, amqp.Queue{Name: q, Type: "classic", Durable: true})
	}
	return t
}
