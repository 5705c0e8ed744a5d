package console

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/internal/chromium"
)

// ways are by click and by key.
var ways = []struct {
	name string
	do   func(p *page, selector string)
}{
	{"click", func(p *page, selector string) { p.Click(selector) }},
	{"keyboard", func(p *page, selector string) {
		p.Wait("document.querySelector(" + chromium.Quote(selector) + ")")
		p.TabTo(selector)
		p.Press("Enter")
	}},
}

// eachWay does the same by click and by key.
func eachWay(t *testing.T, w *world, test func(p *page, how string, do func(selector string))) {
	t.Helper()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			p := look(t, w)
			test(p, way.name, func(selector string) { t.Helper(); way.do(p, selector) })
		})
	}
}

// said waits until the page tells that something was done.
func (p *page) said(text string) {
	p.t.Helper()
	p.Wait(`document.getElementById("said").innerText.includes(` + chromium.Quote(text) + `)`)
}

// A route is paused after a question, which can be answered with no, and goes on.
func TestPauseAndResume(t *testing.T) {
	w := newWorld(t, "")
	w.load()
	eachWay(t, w, func(p *page, how string, do func(string)) {
		p.on("route/readings", "Route readings")
		do("#pause")
		p.Wait(`document.querySelector("dialog[open] h2")?.innerText === "Pause readings?"`)
		p.readable("the question before a pause")
		p.Press("Escape")
		p.Wait(`!document.querySelector("dialog") && document.activeElement?.id === "pause"`)
		do("#pause")
		do("dialog button.main")
		p.said("Route readings is paused.")
		p.Wait(`document.querySelector("h2 .mark").innerText === "paused" && document.querySelector("#resume")`)
		p.picture("light-paused-" + how)
		if got := w.status(t, "readings"); !got.Paused {
			t.Errorf("the router does not have it paused: %+v", got)
		}
		do("#resume")
		p.said("Route readings goes on.")
		p.Wait(`document.querySelector("h2 .mark").innerText === "running"`)
		p.well()
	})
}

// A filter's new version is taken on, and rolled back.
func TestPromoteAndRollBack(t *testing.T) {
	w := newWorld(t, "")
	w.load()
	eachWay(t, w, func(p *page, how string, do func(string)) {
		p.on("filter/half", "Filter half")
		step := func(button, kind, state string) {
			t.Helper()
			do(button)
			do("dialog button." + kind)
			p.Wait(`!document.querySelector("dialog") && document.querySelector("h2 .mark").innerText === "` + state + `"`)
		}
		p.Wait(`document.querySelector("#table-The\\ last\\ differences tbody tr")`)
		if how == "click" {
			step("#promote", "main", "canary")
		} else {
			step("#promote", "main", "shadow")
			step("#promote", "main", "canary")
		}
		step("#promote", "main", "promoted")
		step("#rollback", "danger", "rolled-back")
		p.well()
	})
}

// A filter's module is read again from its page; one that cannot be used changes nothing.
func TestAFilterIsReloaded(t *testing.T) {
	w := newWorld(t, "")
	path := filepath.Join(filepath.Dir(w.path), "own.wasm")
	write := func(module []byte) (sha256sum string) {
		if err := os.WriteFile(path, module, 0o600); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", sha256.Sum256(module))
	}
	versions := map[string][]byte{}
	for _, name := range []string{"trap", "loop"} {
		versions[name], _ = filters.Lookup("demo:" + name)
	}
	write(versions["loop"])
	w.configure(configuration+"[filters.own]\npath = \"own.wasm\"\n[queues.own]\n[routes.own]\nlisten = \"own\"\nfilters = [\"own\"]\nallow = [\"queue:*\"]\n", "")
	if err := w.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	eachWay(t, w, func(p *page, how string, do func(string)) {
		p.on("filter/own", "Filter own")
		version := map[string]string{"click": "trap", "keyboard": "loop"}[how]
		runs := `document.getElementById("main").innerText.includes("` + write(versions[version]) + `")`
		do("#reload")
		do("dialog button.main")
		p.said("Filter own was reloaded.")
		p.Wait(runs)
		write([]byte("no module"))
		do("#reload")
		do("dialog button.main")
		p.Wait(`document.querySelector("dialog .bad").innerText.includes("own.wasm")`)
		p.picture("light-filter-not-reloaded")
		p.Press("Escape")
		p.Wait(`!document.querySelector("dialog") && ` + runs)
	})
}

// What became of messages is shown; what is in them only where the configuration
// permits it, and then as text.
func TestDecisions(t *testing.T) {
	for name, bodies := range map[string]bool{"hidden": false, "shown": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			if bodies {
				w.showBodies()
			}
			w.load()
			p := look(t, w)
			p.on("route/hostile", "Route hostile")
			p.Click(".decision summary")
			p.Wait(`document.querySelector(".decision[open] .inside")`)
			p.readable("a decision")
			p.picture("light-decision-" + name)
			text := p.Text(".decision[open]")
			if strings.Contains(text, `"\"><img`) != bodies {
				t.Errorf("the body is there: %v, want %v:\n%s", !bodies, bodies, text)
			}
			p.Press("Enter") // the summary has the focus
			p.Wait(`!document.querySelector(".decision[open]")`)
			p.Wait(`document.title === "Route hostile · router"`)
			p.well()
		})
	}
}

// The log level and the configuration are changed from their pages.
func TestLogLevelAndReload(t *testing.T) {
	w := newWorld(t, "")
	eachWay(t, w, func(p *page, how string, do func(string)) {
		p.on("log", "Log")
		level := map[string]string{"click": "debug", "keyboard": "info"}[how]
		p.Wait(`document.getElementById("level")`)
		p.Eval(`document.getElementById("level").value = "`+level+`"; document.getElementById("level").dispatchEvent(new Event("change", { bubbles: true }))`, nil)
		p.said("The router logs what is " + level + " and above")
		p.on("config", "Configuration")
		do("#reload")
		do("dialog button.main")
		p.said("The configuration was reloaded.")
		w.configure(configuration+"\n[routes.broken]\n", "")
		do("#reload")
		do("dialog button.main")
		p.Wait(`document.querySelector("dialog .bad").innerText.includes("broken")`)
		p.picture("light-reload-failed")
		p.Press("Escape")
		p.Wait(`document.querySelector(".banner")?.innerText.includes("The last reload failed")`)
		w.configure(configuration, "")
		do("#reload")
		do("dialog button.main")
		p.Wait(`!document.querySelector(".banner")`)
		p.on("log", "Log")
		p.Wait(`document.querySelector("#table-Log").innerText.includes("reload failed")`)
		p.readable("the log")
		p.picture("light-log-" + how)
		for _, problem := range p.Problems() {
			if !strings.Contains(problem, "status of 500") { // the answer to the broken file
				t.Error(problem)
			}
		}
	})
}

// status asks the router for the state of a route.
func (w *world) status(t *testing.T, route string) (found struct{ Paused bool }) {
	t.Helper()
	for _, r := range w.app.Status().Routes {
		if r.Name == route {
			found.Paused = r.Paused
		}
	}
	return found
}

func (w *world) showBodies() {
	w.t.Helper()
	w.configure(strings.Replace(configuration, "[log]", "bodies = true\n[log]", 1), "")
	w.reload()
}

func (w *world) reload() {
	w.t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(w.t.Context()), http.MethodPost, w.url()+"api/reload", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatal(resp.Status)
	}
}
