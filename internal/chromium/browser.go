// Package chromium has a headless Chromium look at a page, in tests. It speaks the
// DevTools protocol over a pipe, which takes no library and no port; docs/RATIONALE.md
// says why. Chromium comes with `scripts/deps.sh test`.
package chromium

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// patience bounds each call and each wait. A page is there in a tenth of a second;
// a machine that runs other tests beside may take long.
const patience = 60 * time.Second

// Browser is a Chromium with a profile of its own. Its pages know nothing of each other.
type Browser struct {
	pipe *pipe
	cmd  *exec.Cmd
}

// Start starts a browser that ends with the test, and with it everything it started.
func Start(t testing.TB) *Browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("there is no Chromium; scripts/deps.sh test installs it: %v", err)
	}
	hear, say, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, answer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + t.TempDir(), "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb", "--lang=en",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // which root cannot have; the pages are ours
	}
	cmd := exec.Command(path, append(args, "about:blank")...)
	cmd.ExtraFiles = []*os.File{hear, answer} // 3 and 4, as the protocol wants it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS=disabled:")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = hear.Close(), answer.Close()
	b := &Browser{pipe: newPipe(say), cmd: cmd}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.pipe.read(answers)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = b.pipe.call(ctx, "", "Browser.close", nil, nil)
		_ = say.Close()
		// Chromium may leave children behind; they are in its process group.
		kill := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait()
		kill.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = answers.Close()
		<-read
	})
	return b
}

// Pid is the process of the browser, for measuring.
func (b *Browser) Pid() string { return strconv.Itoa(b.cmd.Process.Pid) }
