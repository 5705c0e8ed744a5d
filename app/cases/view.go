package cases

import (
	"fmt"

	"github.com/wasmrouter/router/app/offline"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/config"
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
		inner, err := offline.Inside(route, s.Envelope)
		if err != nil {
			return nil, fmt.Errorf("the message to %s is none of oslo.messaging: %w", s.Target, err)
		}
		all = append(all, view{s, inner.Headers(), inner.Body})
	}
	return all, nil
}
