// Package rabbitnode starts private RabbitMQ nodes from the rabbitmq-server
// that is installed on the machine, for tests and demonstrations. A node
// listens on loopback only, on ports of its own, keeps everything in a folder
// of its own and dies with the process that started it. The system's broker and
// port 5672 are never touched.
package rabbitnode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says how a node is to run. The zero value is a node with its data in
// the temporary folder and a free port.
type Config struct {
	// Dir is where the node keeps its files. Empty is a new temporary folder,
	// which Stop removes; a folder given here stays.
	Dir string
	// Conf is appended to rabbitmq.conf, one "key = value" a line.
	Conf string
	// Plugins are enabled before the start. A plugin that listens binds every
	// address unless Conf says otherwise.
	Plugins []string
	// Port is the AMQP port on 127.0.0.1; 0 is a free one.
	Port int
	// Logger is told of starts and stops; nil discards.
	Logger *slog.Logger
}

// startTimeout bounds one start. It is generous: the node takes 5 s on an idle
// machine, and tests run on busy ones.
const startTimeout = 2 * time.Minute

// Node is a running RabbitMQ node. Its methods are safe for concurrent use.
type Node struct {
	cfg       Config
	tools     tools
	dir       string
	ownDir    bool
	lock      *os.File
	name      string // as Erlang has it, with its host
	cookie    string
	distPort  int
	epmdPort  int
	clustered bool // the cluster's fabric is its epmd
	log       *slog.Logger

	mu      sync.Mutex // protects server, epmd and stopped
	server  *process
	epmd    *process
	stopped bool
}

// Start starts a node and returns when it accepts connections.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	found, err := find()
	if err != nil {
		return nil, err
	}
	// A free port can be taken by somebody else before the node binds it, so
	// that a failed start is worth another try with new ports.
	for try := 1; ; try++ {
		n, err := startOnce(ctx, cfg, found)
		if err == nil {
			return n, nil
		}
		if ctx.Err() != nil || cfg.Port != 0 || try == 3 || !errors.Is(err, errExited) {
			return nil, err
		}
	}
}

func startOnce(ctx context.Context, cfg Config, found tools) (*Node, error) {
	n := newNode(cfg, found, nodeName)
	if err := n.prepare(); err != nil {
		n.Stop()
		return nil, fmt.Errorf("prepare a RabbitMQ node: %w", err)
	}
	if err := n.run(ctx); err != nil {
		n.Stop()
		return nil, err
	}
	return n, nil
}

func newNode(cfg Config, found tools, name string) *Node {
	n := &Node{cfg: cfg, tools: found, name: name, log: cfg.Logger}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	return n
}

// Port returns the AMQP port on 127.0.0.1.
func (n *Node) Port() int { return n.cfg.Port }

// Addr returns the AMQP listener's address, host and port.
func (n *Node) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.cfg.Port)) }

// URL returns the AMQP URL of the node's default user and virtual host.
func (n *Node) URL() string { return "amqp://guest:guest@" + n.Addr() + "/" }

// Dir returns the folder that holds the node's files.
func (n *Node) Dir() string { return n.dir }

// Pid returns the process id of the broker, 0 when it does not run.
func (n *Node) Pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server == nil || n.server.exited() {
		return 0
	}
	return n.server.pid
}

var errExited = errors.New("RabbitMQ ended while it was starting")

// run starts epmd and the broker and waits until the broker is ready.
func (n *Node) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	begin := time.Now()
	server, err := n.spawn()
	if err != nil {
		return err
	}
	if err := n.awaitReady(ctx, server); err != nil {
		return err
	}
	n.log.Debug("RabbitMQ node started", "url", "amqp://"+n.Addr(), "dir", n.dir, "took_ms", time.Since(begin).Milliseconds())
	return nil
}

func (n *Node) spawn() (*process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return nil, errStopped
	}
	if n.server != nil && !n.server.exited() {
		return nil, errors.New("the RabbitMQ node is running already")
	}
	out, err := os.OpenFile(n.path("out"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if !n.clustered && (n.epmd == nil || n.epmd.exited()) {
		n.epmd, err = spawn(command{path: n.tools.epmd, args: []string{"-port", strconv.Itoa(n.epmdPort), "-address", "127.0.0.1"}, env: n.env(), dir: n.dir, out: out})
		if err != nil {
			return nil, fmt.Errorf("start epmd: %w", err)
		}
	}
	n.server, err = spawn(command{path: n.tools.server, env: n.env(), dir: n.dir, out: out})
	if err != nil {
		return nil, fmt.Errorf("start rabbitmq-server: %w", err)
	}
	return n.server, nil
}

// awaitReady waits until the broker accepts connections and has started to the
// end: its listener opens before the last step, and stopping or declaring in
// between confuses it.
func (n *Node) awaitReady(ctx context.Context, server *process) error {
	if err := n.awaitPort(ctx, server); err != nil {
		return err
	}
	if _, err := n.Eval(ctx, "ok = rabbit_boot_state:wait_for(ready, 60000)"); err != nil {
		return fmt.Errorf("wait for RabbitMQ to be ready: %w", err)
	}
	return nil
}

// awaitPort waits until the broker answers an AMQP protocol header.
func (n *Node) awaitPort(ctx context.Context, server *process) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-server.done:
			return fmt.Errorf("%w: %s", errExited, n.tail())
		case <-ctx.Done():
			return fmt.Errorf("RabbitMQ does not answer on %s: %w: %s", n.Addr(), context.Cause(ctx), n.tail())
		case <-tick.C:
			if answers(n.Addr()) {
				return nil
			}
		}
	}
}

func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, "AMQP\x00\x00\x09\x01"); err != nil {
		return false
	}
	first, err := bufio.NewReader(conn).ReadByte()
	return err == nil && first == 1 // a method frame: connection.start
}

// tail returns what the node last complained about, for error messages.
func (n *Node) tail() string {
	const keep = 15
	var lines []string
	logs, _ := filepath.Glob(n.path("log", "*.log"))
	for _, name := range append(logs, n.path("out")) {
		text, _ := os.ReadFile(name)
		for line := range strings.Lines(string(text)) {
			// A log line is time, level and process, then the text.
			if _, said, ok := strings.Cut(line, "[error] "); ok {
				_, line, _ = strings.Cut(said, "> ")
			} else if filepath.Ext(name) == ".log" {
				continue
			}
			if line = strings.TrimSpace(line); line != "" && len(lines) < keep {
				lines = append(lines, line)
			}
		}
	}
	return strings.Join(lines, "; ")
}

// freePort returns a port that nobody listens on. It is taken from below the
// range that the kernel gives to outgoing connections, so that it does not
// vanish between the look and the use.
func freePort() (int, error) {
	for range 100 {
		port := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("no free port on 127.0.0.1 between 12000 and 32000")
}

var errStopped = errors.New("the RabbitMQ node was stopped for good")

// Kill ends the broker with SIGKILL, as a crash does, and returns when it has
// ended. What it had written to disk stays for Restart.
func (n *Node) Kill() error {
	n.mu.Lock()
	server := n.server
	n.mu.Unlock()
	return server.kill()
}

// Shutdown asks the broker with SIGTERM to end and returns when it has: it hands
// over what it leads and closes its connections and queues in good order.
func (n *Node) Shutdown(ctx context.Context) error {
	n.mu.Lock()
	server := n.server
	n.mu.Unlock()
	if err := n.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-server.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("RabbitMQ does not end after SIGTERM: %w", context.Cause(ctx))
	}
}

// Restart starts the broker again, on the same ports and files; it ends it
// first if it runs.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Kill(); err != nil {
		return err
	}
	return n.run(ctx)
}

// Pause stops the broker with SIGSTOP and returns when it stands still: it
// keeps its connections and answers nothing.
func (n *Node) Pause() error {
	if err := n.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for range 1000 {
		if paused(n.Pid()) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("the RabbitMQ node does not stand still after SIGSTOP")
}

// Continue lets a paused broker run on.
func (n *Node) Continue() error { return n.signal(syscall.SIGCONT) }

func (n *Node) signal(sig syscall.Signal) error {
	pid := n.Pid()
	if pid == 0 {
		return errors.New("the RabbitMQ node does not run")
	}
	return syscall.Kill(pid, sig)
}

// Stop ends the node and its epmd, at once and for good, and removes its
// folder unless Config named it. It may be called more than once.
func (n *Node) Stop() {
	n.mu.Lock()
	n.stopped = true
	server, epmd := n.server, n.epmd
	n.mu.Unlock()
	for _, p := range []*process{server, epmd} {
		if err := p.kill(); err != nil {
			n.log.Warn("RabbitMQ node does not end", "err", err)
		}
	}
	n.clean()
}
