package console

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wasmrouter/router/internal/testkit"
)

// A recording goes from the router through the page to a file, until it is stopped.
func TestRecording(t *testing.T) {
	w := newWorld(t, "")
	w.showBodies()
	w.load()
	eachWay(t, w, func(p *page, _ string, do func(string)) {
		dir := p.t.TempDir()
		p.Downloads(dir)
		p.on("route/orders", "Route orders")
		do("#record")
		p.Eval(`document.getElementById("how-long").value = "0s"`, nil)
		p.readable("how to record")
		do("dialog button.main")
		p.Wait(`/[1-9]\d* messages, .*[1-9]/.test(document.querySelector(".live")?.innerText)`)
		p.picture("light-recording")
		do("#record-stop")
		p.said("The recording of orders was saved")
		testkit.Await(p.t, time.Minute, "the file", func() (bool, string) {
			files, _ := filepath.Glob(filepath.Join(dir, "orders-*.rec"))
			if len(files) != 1 {
				return false, "it is not there"
			}
			s, err := os.Stat(files[0])
			return err == nil && s.Size() > 100, "it is empty"
		})
		p.well()
	})
}
