// Package systemd tells the service manager that started the process what it is
// at, as sd_notify(3) has it: READY, RELOADING, STOPPING, STATUS and WATCHDOG.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/wasmrouter/router/app"
)

// statusEvery is how often the status is looked at, unless the watchdog wants to
// hear from the process more often.
const statusEvery = 5 * time.Second

// maxStatus bounds a status text, in bytes: it is one line of systemctl status.
const maxStatus = 400

// Service reports to the service manager. Its methods are safe for concurrent use.
type Service struct {
	log      *slog.Logger
	interval time.Duration // between two reports
	watched  bool          // the manager restarts a service from which it hears nothing

	mu     sync.Mutex // orders what is sent, and protects what follows
	phase  app.Phase
	status string // the last that was sent
	failed bool   // the last report did not arrive
}

// New returns the report to the service manager that NOTIFY_SOCKET names, nil when
// there is none, as in a terminal or a container. The environment is left without
// what was meant for this process only.
func New(log *slog.Logger) (*Service, error) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil, nil
	}
	patience, err := daemon.SdWatchdogEnabled(true)
	if err != nil {
		return nil, fmt.Errorf("WATCHDOG_USEC: %w", err)
	}
	s := &Service{log: log, interval: statusEvery, watched: patience > 0}
	if s.watched {
		s.interval = min(s.interval, patience/2)
	}
	return s, nil
}

// Phase reports that the process has come to a phase.
func (s *Service) Phase(p app.Phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = p
	switch p {
	case app.Running:
		s.send(daemon.SdNotifyReady)
	case app.Reloading:
		// Without the time systemd takes the next READY for that of an earlier
		// reload, or of the start.
		s.send(daemon.SdNotifyReloading + "\n" + strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
	case app.Stopping:
		s.send(daemon.SdNotifyStopping + "\nSTATUS=finishes what is in hand")
	}
}

// Run reports the status whenever it changes, and to a watchdog that the process
// lives, until ctx ends. A process that cannot tell its status any more, since
// something in it holds a lock for ever, is silent: that is what the watchdog
// waits for.
func (s *Service) Run(ctx context.Context, status func() app.Status) {
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		s.report(Text(status()))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) report(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	if s.watched {
		lines = append(lines, daemon.SdNotifyWatchdog)
	}
	if text != s.status && s.phase != app.Stopping {
		s.status = text
		lines = append(lines, "STATUS="+text)
	}
	if len(lines) > 0 {
		s.send(strings.Join(lines, "\n"))
	}
}

// send sends one datagram; mu is held, so that they arrive in order.
func (s *Service) send(state string) {
	_, err := daemon.SdNotify(false, state)
	if err != nil && !s.failed {
		s.log.Warn("the service manager does not hear from the router, and may stop it", "err", err)
	}
	s.failed = err != nil
}

// Text puts a status on one line, of at most maxStatus bytes.
func Text(s app.Status) string {
	text := fmt.Sprintf("ready, %d routes", len(s.Routes))
	if len(s.Routes) == 1 {
		text = "ready, 1 route"
	}
	if !s.Ready {
		text = "not ready: " + strings.Join(s.Reasons, "; ")
	}
	if !s.Reload.Successful {
		text = "the last reload failed and changed nothing, the log says why; " + text
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' ' // a line end would begin another variable
	}, text)
	if len(text) > maxStatus {
		text = strings.ToValidUTF8(text[:maxStatus-len("…")], "") + "…"
	}
	return text
}
