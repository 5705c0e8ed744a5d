// Package chromium has a headless Chromium look at a page, in tests. It speaks the
// DevTools protocol over a pipe, which takes no library and no port; docs/RATIONALE.md
// says why. Chromium comes with `scripts/deps.sh test`.
package chromium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// patience bounds each call and each wait. A page is there in a tenth of a second;
// a machine that runs other tests beside may take long.
const patience = 60 * time.Second

// goodbye is how long a browser may take to end by itself.
const goodbye = 5 * time.Second

// Browser is a Chromium with a profile of its own. Its pages know nothing of each other.
type Browser struct {
	pipe    *pipe
	cmd     *exec.Cmd
	answers io.Closer
	read    chan struct{} // closed when the goroutine that reads them has ended
}

// Start starts a browser, which lasts until Close. What it keeps is in dir.
func Start(dir string) (*Browser, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("there is no Chromium; scripts/deps.sh test installs it: %w", err)
	}
	hear, say, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answers, answer, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, hear.Close(), say.Close())
	}
	args := []string{
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + dir, "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb", "--lang=en",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // which root cannot have; the pages are ours
	}
	cmd := exec.Command(path, append(args, "about:blank")...)
	cmd.ExtraFiles = []*os.File{hear, answer} // 3 and 4, as the protocol wants it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS=disabled:")
	err = cmd.Start()
	_, _ = hear.Close(), answer.Close()
	if err != nil {
		return nil, errors.Join(err, say.Close(), answers.Close())
	}
	b := &Browser{pipe: newPipe(say), cmd: cmd, answers: answers, read: make(chan struct{})}
	go func() {
		defer close(b.read)
		b.pipe.read(answers)
	}()
	return b, nil
}

// Close ends the browser and everything that it started.
func (b *Browser) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = b.pipe.call(ctx, "", "Browser.close", nil, nil)
	_ = b.pipe.out.Close()
	// Chromium may leave children behind; they are in its process group.
	end := func() { _ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) }
	late := time.AfterFunc(goodbye, end)
	_ = b.cmd.Wait()
	late.Stop()
	end()
	_ = b.answers.Close()
	<-b.read
}
