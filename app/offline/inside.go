package offline

import (
	"context"
	"errors"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

// Inside returns what filters would see of a message that a route sends: in the
// format "oslo" the context as headers and the call as body, otherwise the message
// itself.
func Inside(route config.Route, env router.Envelope) (router.Envelope, error) {
	if route.Format != "oslo" {
		return env, nil
	}
	source, err := osloroute.NewRequests(osloroute.Config{
		Route: "test", MaxBody: int(route.MaxMessage.Bytes()), Permits: func(string) bool { return false },
	})
	if err != nil {
		return env, err
	}
	ctx := context.Background() // it waits for nothing
	format, err := source.Format(ctx)
	if err != nil {
		return env, err
	}
	defer format.Close()
	inner := env.Clone()
	err = format.Run(ctx, router.Decode, &inner, new(router.Decision))
	if fe, ok := errors.AsType[*router.FilterError](err); ok {
		err = fe.Err
	}
	return inner, err
}
