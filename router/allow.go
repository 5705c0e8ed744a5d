package router

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// Allow says which targets filters may choose. The nil Allow permits none. It
// is safe for concurrent use.
type Allow struct {
	text     []string
	patterns *regexp.Regexp

	mu    sync.RWMutex // protects known
	known map[Target]bool
}

// knownTargets bounds the remembered answers; filters make up topics freely.
const knownTargets = 4096

// NewAllow compiles patterns over the text form of targets (see
// [Target.String]), in which * stands for any run of characters:
// "queue:orders.*", "exchange:events/*", "*".
func NewAllow(patterns []string) (*Allow, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	alternatives := make([]string, len(patterns))
	for i, p := range patterns {
		if p == "" {
			return nil, fmt.Errorf("allow: pattern %d is empty", i+1)
		}
		parts := strings.Split(p, "*")
		for j := range parts {
			parts[j] = regexp.QuoteMeta(parts[j])
		}
		alternatives[i] = strings.Join(parts, ".*")
	}
	re, err := regexp.Compile(`(?s)\A(?:` + strings.Join(alternatives, "|") + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("allow: %w", err)
	}
	return &Allow{text: patterns, patterns: re, known: make(map[Target]bool)}, nil
}

// Permits reports whether a filter may send to t.
func (a *Allow) Permits(t Target) bool {
	if a == nil {
		return false
	}
	a.mu.RLock()
	ok, found := a.known[t]
	a.mu.RUnlock()
	if found {
		return ok
	}
	ok = a.patterns.MatchString(t.String())
	a.mu.Lock()
	if len(a.known) >= knownTargets {
		clear(a.known)
	}
	a.known[t] = ok
	a.mu.Unlock()
	return ok
}

// Patterns returns the patterns as they were given.
func (a *Allow) Patterns() []string {
	if a == nil {
		return nil
	}
	return a.text
}

// PermitsReply reports whether a reply may go to queue: to the names that reply
// queues have, or where the patterns allow. A request could otherwise make the
// router write into any queue.
func (a *Allow) PermitsReply(queue string) bool {
	for _, prefix := range [...]string{"reply_", "amq.gen-", "amq.rabbitmq.reply-to."} {
		if strings.HasPrefix(queue, prefix) {
			return true
		}
	}
	return a.Permits(Target{Kind: TargetQueue, Queue: queue})
}
