package top

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/remote"
)

// again is how long to wait before a router that does not answer is asked again.
const again = time.Second

// Config says what to watch and where to show it.
type Config struct {
	Client *remote.Client
	Out    io.Writer
	// Size returns columns and rows of the terminal, which is asked at each
	// update; nil writes plain lines.
	Size func() (width, height int, err error)
	// Keys gives what is typed; nil is nothing. It is read until it ends, also
	// after Run has returned.
	Keys    io.Reader
	Updates int // after so many Run returns; 0 is never
}

// errEnough ends a stream of which enough was seen.
var errEnough = errors.New("enough")

// What the terminal is told: another screen without a cursor, and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
)

// Run shows the router, one update a second, until ctx ends, q is typed, or there
// were enough updates. A router that is not there at first is an error; one that
// goes is waited for.
func Run(ctx context.Context, cfg Config) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if cfg.Keys != nil {
		go readKeys(cfg.Keys, func() { stop(errEnough) }) // it ends with Keys
	}
	s := &screen{cfg: cfg}
	err := s.watch(ctx)
	if s.entered {
		_, _ = io.WriteString(cfg.Out, leaveScreen)
	}
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		return nil
	}
	return err
}

// readKeys calls quit once q, or what ends programs, is typed. A terminal in raw
// mode makes no signals of it.
func readKeys(keys io.Reader, quit func()) {
	var key [1]byte
	for {
		if _, err := keys.Read(key[:]); err != nil {
			return
		}
		switch key[0] {
		case 'q', 'Q', 3, 4: // ^C, ^D
			quit()
			return
		}
	}
}

// screen is what is shown.
type screen struct {
	cfg          Config
	entered      bool
	before, last *app.Status
	updates      int
}

func (s *screen) watch(ctx context.Context) error {
	for {
		err := s.listen(ctx)
		_, refused := errors.AsType[*remote.Error](err)
		if s.last == nil || refused || errors.Is(err, errEnough) || ctx.Err() != nil {
			return err
		}
		s.before = nil // counts may begin anew
		if err := s.lost(err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(again):
		}
	}
}

// maxEvent bounds one status.
const maxEvent = 64 << 20

// listen shows each status of the router until its stream ends, which is an error.
func (s *screen) listen(ctx context.Context) error {
	body, err := s.cfg.Client.Stream(ctx, "GET", "/api/events?kinds=status", nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			if err := s.update(data); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%s: its events have ended", s.cfg.Client.Address())
}

// update shows one status.
func (s *screen) update(data []byte) error {
	now := new(app.Status)
	if err := json.Unmarshal(data, now); err != nil {
		return fmt.Errorf("the router's status: %w", err)
	}
	s.before, s.last = s.last, now
	if s.before != nil && !s.before.Started.Equal(now.Started) {
		s.before = nil
	}
	if s.before != nil || s.cfg.Size != nil { // lines are of rates only
		if err := s.draw(); err != nil {
			return err
		}
		s.updates++
	}
	if s.cfg.Updates > 0 && s.updates >= s.cfg.Updates {
		return errEnough
	}
	return nil
}

func (s *screen) draw() error {
	if s.cfg.Size == nil {
		return writeLines(s.cfg.Out, s.before, s.last)
	}
	var text bytes.Buffer
	if err := write(&text, s.cfg.Client.Address(), s.before, s.last); err != nil {
		return err
	}
	return s.paint(text.String())
}

// lost says that the router does not answer.
func (s *screen) lost(err error) error {
	line := clean(err.Error()) + "; asking again\n"
	if s.cfg.Size == nil {
		_, err := io.WriteString(s.cfg.Out, line)
		return err
	}
	return s.paint(line)
}

// paint fills the screen with as much of text as there is room for, the last line
// saying how to leave.
func (s *screen) paint(text string) error {
	width, height, err := s.cfg.Size()
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	var out strings.Builder
	if !s.entered {
		s.entered = true
		out.WriteString(enterScreen)
	}
	out.WriteString("\x1b[H")
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if i >= height-1 {
			break
		}
		out.WriteString(cut(line, width) + "\x1b[K\r\n")
	}
	out.WriteString(cut("q quits", width) + "\x1b[J")
	_, err = io.WriteString(s.cfg.Out, out.String())
	return err
}

// cut returns what of a line fits into width columns.
func cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	runes := []rune(line)
	return string(runes[:width])
}
