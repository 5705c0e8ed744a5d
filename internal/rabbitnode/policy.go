package rabbitnode

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
)

// SetPolicy gives one queue of the default virtual host a policy, which has the
// queue's name; definition is encoded as JSON. The queue follows it a little later.
func (n *Node) SetPolicy(ctx context.Context, queue string, definition map[string]any) error {
	doc, err := json.Marshal(definition)
	if err != nil {
		return fmt.Errorf("policy of queue %s: %w", queue, err)
	}
	pattern := "^" + regexp.QuoteMeta(queue) + "$"
	_, err = n.Eval(ctx, fmt.Sprintf("ok = rabbit_policy:parse_set(<<\"/\">>, <<%q>>, <<%q>>, <<%q>>, 1, <<\"queues\">>, <<\"guest\">>)",
		queue, pattern, doc))
	return err
}

// ClearPolicy takes the policy that SetPolicy gave a queue away.
func (n *Node) ClearPolicy(ctx context.Context, queue string) error {
	_, err := n.Eval(ctx, fmt.Sprintf("ok = rabbit_policy:delete(<<\"/\">>, <<%q>>, <<\"guest\">>)", queue))
	return err
}
