package cases

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/oslo/osloroute"
	"github.com/wasmrouter/router/router"
)

// view is a message that was sent, with its context and payload.
type view struct {
	record.Sent
	context map[string]any
	payload []byte
}

// views looks at messages in the format of their route: with "oslo" as the next
// router's filters would see them.
func views(route config.Route, sent []record.Sent) ([]view, error) {
	var all []view
	for _, s := range sent {
		v := view{Sent: s, context: s.Envelope.Headers(), payload: s.Envelope.Body}
		if route.Format == "oslo" {
			inner, err := open(route, s.Envelope)
			if err != nil {
				return nil, fmt.Errorf("the message to %s is none of oslo.messaging: %w", s.Target, err)
			}
			v.context, v.payload = inner.Headers(), inner.Body
		}
		all = append(all, v)
	}
	return all, nil
}

func open(route config.Route, env router.Envelope) (router.Envelope, error) {
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
