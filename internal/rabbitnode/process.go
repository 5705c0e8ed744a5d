package rabbitnode

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// command is a program to start.
type command struct {
	path string
	args []string
	env  []string
	dir  string
	out  *os.File
}

// process is a program that was started. It leads a process group of its own
// and dies with this process where the system can arrange it.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended and was waited for
}

func spawn(c command) (*process, error) {
	cmd := exec.Command(c.path, c.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, c.dir, c.out, c.out
	cmd.SysProcAttr = attributes()
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	// The owner of this goroutine is the process: it ends when the process does,
	// and kill waits for that. The parent-death signal fires when the thread
	// that forked ends, so that the thread must stay until then.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended does not matter; its log says why
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process and its group and waits for it.
func (p *process) kill() error {
	if p == nil || p.exited() {
		return nil
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	select {
	case <-p.done:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("process %d does not end after SIGKILL", p.pid)
	}
}
