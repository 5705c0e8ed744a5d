package app

import (
	"slices"
	"strings"

	"github.com/wasmrouter/router/config"
)

// DeadLetterQueue is a queue that routes write their dead letters to.
type DeadLetterQueue struct {
	Queue  string   `json:"queue"`
	Routes []string `json:"routes"` // sorted
}

// DeadLetterQueues are those of a configuration, sorted by name.
type DeadLetterQueues struct {
	All     []DeadLetterQueue
	sources map[string]string
}

// Source returns the queue that a route listens to, "" if there is no such route.
func (q *DeadLetterQueues) Source(route string) string { return q.sources[route] }

// Has reports whether a queue is among them.
func (q *DeadLetterQueues) Has(queue string) bool {
	return slices.ContainsFunc(q.All, func(d DeadLetterQueue) bool { return d.Queue == queue })
}

// ReadDeadLetterQueues returns those that a configuration file names.
func ReadDeadLetterQueues(path string) (*DeadLetterQueues, error) {
	cfg, _, err := config.Load(path, config.Options{})
	if err != nil {
		return nil, err
	}
	return deadLetterQueues(cfg), nil
}

func deadLetterQueues(cfg *config.Config) *DeadLetterQueues {
	q := &DeadLetterQueues{sources: map[string]string{}}
	routes := map[string][]string{}
	for name, r := range cfg.Routes {
		q.sources[name] = r.Queue(name)
		routes[r.DeadLetter] = append(routes[r.DeadLetter], name)
	}
	for queue, names := range routes {
		slices.Sort(names)
		q.All = append(q.All, DeadLetterQueue{queue, names})
	}
	slices.SortFunc(q.All, func(a, b DeadLetterQueue) int { return strings.Compare(a.Queue, b.Queue) })
	return q
}
