package calls

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

//go:embed calls.py
var script string

// command is what a peer is told to do, on a line of its standard input.
type command struct {
	Do      string `json:"do"` // echo, tag, cpu, seen
	N       int    `json:"n"`
	Callers int    `json:"callers"`
}

// said is what a peer answers, on a line of its standard output.
type said struct {
	Ready       bool    `json:"ready,omitempty"`
	CPUMicros   int64   `json:"cpu_us,omitempty"` // of the process so far, or of a run
	Seen        int     `json:"seen,omitempty"`   // casts that have arrived
	Nanoseconds int64   `json:"nanoseconds,omitempty"`
	Took        []int64 `json:"took,omitempty"` // by each call, in ns
	Failed      int     `json:"failed,omitempty"`
	Why         string  `json:"why,omitempty"` // the first of them failed
	Error       string  `json:"error,omitempty"`
}

// peer is a client or server in a process of its own, so that its processor
// time and connections are its own too.
type peer struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

// start starts a peer and waits until it is ready.
func start(ctx context.Context, name string, argv []string) (*peer, error) {
	p := &peer{name: name, cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	p.cmd.Env = append(os.Environ(), "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1")
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	if s, err := p.hear(); err != nil || !s.Ready {
		return nil, errors.Join(fmt.Errorf("the %s does not start: %w", name, err), p.stop())
	}
	return p, nil
}

// do makes the peer do something and returns what it says.
func (p *peer) do(c command) (said, error) {
	line, err := json.Marshal(c)
	if err != nil {
		return said{}, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return said{}, fmt.Errorf("tell the %s: %w", p.name, err)
	}
	return p.hear()
}

func (p *peer) hear() (s said, err error) {
	line, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	switch {
	case err != nil:
		// What it wrote to standard error is complete only after its end.
		_ = p.stop()
		return s, fmt.Errorf("the %s has ended or talks nonsense: %w: %.2000s", p.name, err, p.stderr.String())
	case s.Error != "":
		return s, fmt.Errorf("the %s: %s", p.name, s.Error)
	}
	return s, nil
}

// stop ends the peer by the end of its input, or kills it after some time. It
// may be called again.
func (p *peer) stop() error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	_ = p.in.Close()
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the %s: %w", p.name, err)
	}
	return nil
}
