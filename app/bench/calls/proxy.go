package calls

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"text/template"

	"github.com/wasmrouter/router/amqp/bareloop"
	"github.com/wasmrouter/router/app"
)

//go:embed proxy.toml
var proxyText string

var proxyTemplate = template.Must(template.New("proxy").Parse(proxyText))

// openRouter opens a router whose one route calls in its own name what comes to
// the topic, after a filter has chosen the server's queue, the topic's with the
// ending .out.
func openRouter(ctx context.Context, s *stage) (_ actor, err error) {
	if err := bareloop.DeclareTopic(ctx, s.url, s.exchange, s.topic); err != nil {
		return actor{}, err
	}
	dir, err := os.MkdirTemp("", "router-bench-")
	if err != nil {
		return actor{}, err
	}
	defer os.RemoveAll(dir) // read by then
	path := filepath.Join(dir, "router.toml")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return actor{}, err
	}
	if err := errors.Join(proxyTemplate.Execute(f, s.topic), f.Close()); err != nil {
		return actor{}, err
	}
	a, err := app.New(ctx, app.Options{ConfigPath: path, Env: func(name string) (string, bool) {
		if name == "ROUTER_BENCH_URL" {
			return s.url, true
		}
		return os.LookupEnv(name)
	}})
	if err != nil {
		return actor{}, err
	}
	if err := a.Start(ctx); err != nil {
		return actor{}, errors.Join(err, a.Stop(ctx))
	}
	return actor{close: a.Stop}, nil
}
