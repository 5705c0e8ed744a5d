package workbench

import (
	"context"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/router"
)

// Source loads a subject for others to make instances of. The workbench closes it.
func (w *Workbench) Source(ctx context.Context, s *Subject) (router.FilterSource, error) {
	f, err := w.host.Load(ctx, app.FilterConfig(s.Name, s.Filter, s.Module))
	if err != nil {
		return nil, s.refused(err)
	}
	return f, nil
}
