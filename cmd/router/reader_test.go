package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wasmrouter/router/internal/doctest"
	"github.com/wasmrouter/router/internal/testkit"
)

// reader does what a page tells its reader to do, on addresses of this machine that
// are free.
type reader struct {
	t         *testing.T
	dir       string
	addresses *strings.Replacer
	admin     string
	out       string // what the last commands printed
	router    *process
}

func newReader(t *testing.T, dir string) *reader {
	admin := testkit.FreeAddress(t)
	return &reader{
		t: t, dir: dir, admin: admin,
		addresses: strings.NewReplacer("127.0.0.1:5672", testkit.FreeAddress(t), "127.0.0.1:9690", admin),
	}
}

// read runs the commands of a block, or looks for its text in what they printed.
func (r *reader) read(b doctest.Block) {
	r.t.Helper()
	switch b.Info[0] {
	case "sh":
		r.out = ""
		commands, runs := strings.CutSuffix(b.Text, "router run\n")
		if server, rest, ok := strings.Cut(commands, "\n"); ok && strings.HasPrefix(server, "router serve ") {
			r.serve(strings.Fields(server)[1:])
			commands = rest
		}
		if commands != "" {
			r.commands(b, commands)
		}
		if runs {
			r.run()
		}
	case "text":
		for line := range strings.Lines(b.Text) {
			if line = strings.TrimSpace(line); !strings.Contains(r.out, line) {
				r.t.Errorf("%s:%d: %q is not in what is printed:\n%s", b.File, b.Line, line, r.out)
			}
		}
	}
}

// commands runs commands of a block in one shell.
func (r *reader) commands(b doctest.Block, commands string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*patience) // some compile
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", r.addresses.Replace(commands))
	cmd.Dir = r.dir
	cmd.Env = append(r.environment(), toolchain(r.t)...)
	out, err := cmd.CombinedOutput()
	r.out = string(out)
	if err != nil {
		r.t.Fatalf("%s:%d: %v\n%s", b.File, b.Line, err, out)
	}
}

// environment names the broker that hand tools take unless they are told otherwise.
func (r *reader) environment() []string {
	return append(environment(), "ROUTER_URL="+r.addresses.Replace("amqp://127.0.0.1:5672/"))
}

// run is the terminal in which the router runs, with further options.
func (r *reader) run(options ...string) {
	r.t.Helper()
	r.router = &process{t: r.t, admin: "http://" + r.admin}
	r.router.begin(r.dir, nil, append([]string{"run", "--admin", r.admin}, options...)...)
	r.router.await("admin listener")
	r.router.ready()
}

// serve is the terminal in which a server runs.
func (r *reader) serve(args []string) {
	r.t.Helper()
	cmd := exec.Command(filepath.Join(binDir, "router"), args...)
	cmd.Dir, cmd.Env = r.dir, r.environment()
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
		for lines.Scan() {
		}
		_ = cmd.Wait()
	})
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "serving ") {
			return
		}
	}
	r.t.Fatalf("router %s has ended", strings.Join(args, " "))
}

// stop is SIGTERM in the router's terminal.
func (r *reader) stop() {
	r.t.Helper()
	r.router.signal(syscall.SIGTERM)
	r.router.ends(exitOK)
}

func (r *reader) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(r.addresses.Replace(text)), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// blocks returns what a page shows.
func blocks(t *testing.T, page string) []doctest.Block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all, err := doctest.Blocks(page, string(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}
