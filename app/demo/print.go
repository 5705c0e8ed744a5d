package demo

import (
	"fmt"
	"io"
	"time"

	"github.com/wasmrouter/router/router"
)

const indent = "                    "

// printer writes the story line by line.
type printer struct{ out io.Writer }

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *printer) sent(n int, s scene, env router.Envelope) {
	p.line("")
	p.line("%2d  %-14s  %s ← %s", n, s.kind, s.queue, show(env.Body))
}

func (p *printer) arrived(sent router.Envelope, a arrival, took time.Duration) {
	ms := float64(took.Microseconds()) / 1000
	if a.queue != "dead" {
		p.line("%s→ %s in %.1f ms", indent, a.queue, ms)
		for _, c := range changes(sent, a.env) {
			p.line("%s    %s", indent, c)
		}
		return
	}
	header := func(name string) any { v, _ := a.env.Header(name); return v }
	p.line("%s✗ dead letter in %.1f ms: %v, attempts: %v", indent, ms, header(router.HeaderReason), header(router.HeaderAttempts))
	p.line("%s    %v", indent, header(router.HeaderError))
	if changed := changes(sent, a.env); len(changed) > 0 {
		p.line("%s    changed: %v", indent, changed)
	} else {
		p.line("%s    the message itself is kept as it was", indent)
	}
}

func (p *printer) why(s scene) { p.line("%s  why: %s", indent, s.why) }
