package rabbitnode

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tools are the programs that a node needs.
type tools struct {
	server, ctl, epmd string
	call              string // erl_call; empty when there is none
}

// ErrNotInstalled is wrapped by Find's error.
var ErrNotInstalled = errors.New("rabbitmq-server is not installed")

// Find reports whether RabbitMQ is installed; its error says how to install it.
func Find() error {
	_, err := find()
	return err
}

func find() (tools, error) {
	// Debian's scripts in /usr/sbin change the user; these are the real ones.
	dirs := []string{"/usr/lib/rabbitmq/bin", "/opt/homebrew/sbin", "/usr/local/sbin"}
	if path, err := exec.LookPath("rabbitmq-server"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	var t tools
	for _, dir := range dirs {
		server := filepath.Join(dir, "rabbitmq-server")
		if _, err := os.Stat(server); err == nil {
			t.server, t.ctl = server, filepath.Join(dir, "rabbitmqctl")
			break
		}
	}
	t.epmd = erlang("epmd")
	t.call = erlang("erl_call")
	if t.server == "" || t.epmd == "" {
		return tools{}, fmt.Errorf("%w: run \"make deps\", or install it with \"apt-get install rabbitmq-server\" or \"brew install rabbitmq\"", ErrNotInstalled)
	}
	return t, nil
}

// erlang returns the path of one of Erlang's own programs, empty if it is not
// there.
func erlang(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range []string{"/usr/lib/erlang/erts-*/bin/", "/usr/lib/erlang/bin/", "/opt/homebrew/opt/erlang/lib/erlang/erts-*/bin/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}

const dirPrefix = "router-rabbitmq-"

// prepare makes the node's folder and writes its configuration.
func (n *Node) prepare() error {
	n.dir = n.cfg.Dir
	if n.dir == "" {
		sweep()
		dir, err := os.MkdirTemp("", dirPrefix)
		if err != nil {
			return err
		}
		n.dir, n.ownDir = dir, true
		if n.lock, err = lock(dir); err != nil {
			return err
		}
	}
	for _, port := range []*int{&n.cfg.Port, &n.distPort, &n.epmdPort} {
		if *port == 0 {
			var err error
			if *port, err = freePort(); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"home", "log", "mnesia"} {
		if err := os.MkdirAll(n.path(name), 0o700); err != nil {
			return err
		}
	}
	if n.cookie == "" {
		n.cookie = rand.Text()
	}
	cookie := n.path("home", ".erlang.cookie")
	if err := os.Remove(cookie); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	files := []struct{ path, text string }{
		{cookie, n.cookie},
		{n.path("rabbitmq.conf"), n.conf()},
		{n.path("advanced.config"), "[].\n"},
		{n.path("enabled_plugins"), "[" + strings.Join(n.cfg.Plugins, ",") + "].\n"},
	}
	for _, f := range files {
		if err := os.WriteFile(f.path, []byte(f.text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) path(parts ...string) string {
	return filepath.Join(append([]string{n.dir}, parts...)...)
}

func (n *Node) conf() string {
	return "listeners.tcp.1 = " + n.Addr() + `
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 10MB
log.file.level = warning
log.console = false
` + n.cfg.Conf + "\n"
}

// env is the environment of every program of the node. Nothing is inherited
// that could point at another node.
func (n *Node) env() []string {
	env := []string{
		"HOME=" + n.path("home"),
		"RABBITMQ_NODENAME=" + n.name,
		"RABBITMQ_USE_LONGNAME=",
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(n.distPort),
		"RABBITMQ_MNESIA_BASE=" + n.path("mnesia"),
		"RABBITMQ_LOG_BASE=" + n.path("log"),
		"RABBITMQ_PID_FILE=" + n.path("pid"),
		"RABBITMQ_CONFIG_FILE=" + n.path("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + n.path("advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + n.path("enabled_plugins"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"ERL_EPMD_PORT=" + strconv.Itoa(n.epmdPort),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_MAX_PORTS=8192",
		"ERL_CRASH_DUMP_SECONDS=0",
		"RABBITMQ_SCHEDULER_BIND_TYPE=u",
		"RABBITMQ_MAX_NUMBER_OF_PROCESSES=200000",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2 +SDcpu 1:1 +SDio 4 +A 4 -kernel inet_dist_use_interface {127,0,0,1} net_ticktime " + strconv.Itoa(tickTime),
		"RABBITMQ_CTL_ERL_ARGS=+S 1:1 +A 1 -kernel inet_dist_use_interface {127,0,0,1}",
		// The script then becomes the broker instead of waiting for it, so that
		// the process started is the one to kill.
		"RUNNING_UNDER_SYSTEMD=true",
	}
	for _, name := range []string{"PATH", "LANG", "LC_ALL", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

const nodeName = "rabbit@localhost"

// tickTime is how many seconds a node of a cluster bears the silence of another
// before it takes it for gone, give or take a quarter. RabbitMQ's own 60 would make
// tests of that long; much less, and a busy machine's pauses would pass for it.
const tickTime = 8

// lock takes the lock that says a folder's owner lives.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "owner"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes the folders of nodes whose owner was killed. A folder younger
// than a minute may belong to somebody who has not locked it yet.
func sweep() {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range old {
		if st, err := os.Stat(dir); err != nil || time.Since(st.ModTime()) < time.Minute {
			continue
		}
		if f, err := lock(dir); err == nil {
			_ = os.RemoveAll(dir)
			f.Close()
		}
	}
}

// clean gives the folder up.
func (n *Node) clean() {
	if !n.ownDir {
		return
	}
	// The broker's helpers notice its end a moment later and may still write.
	for range 20 {
		if os.RemoveAll(n.dir) == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n.lock != nil {
		n.lock.Close()
	}
}
