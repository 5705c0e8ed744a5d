package console

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmrouter/router/internal/chromium"
)

func picture(p *chromium.Page, name string) {
	if *screens != "" {
		p.Screenshot(filepath.Join(*screens, name+".png"))
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t, "")
	w.load()
	p := chromium.Start(t).NewPage(t)
	p.Screen(1400, 900, false)
	p.Open(w.url())
	p.Wait(`[...document.querySelectorAll(".graph .rate")].some((t) => /^[1-9]/.test(t.textContent))`)
	for _, page := range []string{"routes", "route/orders", "filters", "filter/schema", "connections", "broker", "config", "log"} {
		p.Eval(`location.hash = "#/`+page+`"`, nil)
		p.Wait(`document.querySelector("h2") && location.hash === "#/` + page + `"`)
		for _, theme := range []string{"light", "dark"} {
			p.Screen(1400, 900, theme == "dark")
			picture(p, theme+"-"+page[:1]+filepath.Base(page))
		}
		p.Screen(390, 844, false)
		picture(p, "narrow-"+page[:1]+filepath.Base(page))
	}
	for _, problem := range p.Problems() {
		if !strings.HasSuffix(problem, "/api/events") { // which a router need not have
			t.Error(problem)
		}
	}
}
