package console

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wasmrouter/router/internal/chromium"
)

//go:embed testdata/contrast.js
var contrast string

// look opens the console.
func look(t testing.TB, w *world) *page {
	t.Helper()
	p := &page{browser.NewPage(t), t}
	p.Open(w.url())
	return p
}

type page struct {
	*chromium.Page
	t testing.TB
}

// on goes to a page of the console and waits until its heading has that text.
func (p *page) on(address, heading string) {
	p.t.Helper()
	p.Eval(`location.hash = "#/`+address+`"`, nil)
	p.Wait(`document.querySelector("h2")?.innerText.startsWith("` + heading + `")`)
}

// well fails the test if the page has complained.
func (p *page) well() {
	p.t.Helper()
	for _, problem := range p.Problems() {
		p.t.Error(problem)
	}
}

// readable fails the test for texts that are hard to see, elements without a name for
// those who do not see them, and a page that is wider than its screen.
func (p *page) readable(what string) {
	p.t.Helper()
	p.contrast(what)
	p.fits(what)
	named := []string{"button", "link", "textbox", "searchbox", "combobox", "checkbox", "image", "img", "region", "dialog", "table", "navigation", "figure", "progressbar", "row header", "heading"}
	for _, n := range p.Nodes() {
		if strings.TrimSpace(n.Name) == "" && (slices.Contains(named, n.Role) && n.Role != "figure" || n.Focusable && n.Role != "RootWebArea" && n.Role != "main" && n.Role != "generic") {
			p.t.Errorf("%s: %+v has no name", what, n)
		}
	}
}

func (p *page) contrast(what string) {
	p.t.Helper()
	var poor []string
	if p.Eval(contrast, &poor); len(poor) > 0 {
		p.t.Errorf("%s: too little contrast:\n%s", what, strings.Join(poor, "\n"))
	}
}

func (p *page) fits(what string) {
	p.t.Helper()
	var over int
	if p.Eval(`document.documentElement.scrollWidth - innerWidth`, &over); over > 0 {
		p.t.Errorf("%s: %d pixels wider than the screen", what, over)
	}
}

func (p *page) picture(name string) {
	if *screens != "" {
		p.Screenshot(filepath.Join(*screens, name+".png"))
	}
}

// flowing waits until the console shows rates.
func (p *page) flowing() {
	p.t.Helper()
	p.Wait(`[...document.querySelectorAll(".graph .rate")].some((t) => /^[1-9]/.test(t.textContent))`)
}

// Every page of a router under load is readable in both themes and on a telephone,
// complains of nothing, and takes no name for markup.
func TestPagesAreReadable(t *testing.T) {
	w := newWorld(t, "")
	w.load()
	p := look(t, w)
	p.flowing()
	for _, at := range []struct{ address, heading, says string }{
		{"routes", "Routes", "hostile"},
		{"route/hostile", "Route hostile", script},
		{"route/runaway", "Route runaway", "filter failing"},
		{"filters", "Filters", "stock:content-router"},
		{"filter/half", "Filter half", "Treated differently"},
		{"connections", "Connections", script},
		{"broker", "Embedded broker", script},
		{"config", "Configuration", `"queue:\"><img src=x onerror=alert(1)><script>`},
		{"log", "Log", "The router logs from"},
		{"route/none", "none", "There is no route of that name."},
		{"filter/none", "none", "There is no filter of that name."},
	} {
		p.on(at.address, at.heading)
		p.Wait(`document.body.textContent.includes(` + chromium.Quote(at.says) + `)`)
		name := strings.ReplaceAll(at.address, "/", "-")
		p.Screen(1400, 900, true)
		p.contrast(at.address + ", dark")
		p.picture("dark-" + name)
		p.Screen(1400, 900, false)
		p.readable(at.address)
		p.picture("light-" + name)
		p.Screen(390, 844, false)
		p.fits(at.address)
		p.picture("narrow-" + name)
		if at.address == "routes" {
			p.Screen(390, 844, true)
			p.Click("#as-table")
			p.Wait(`document.querySelector("#table-Routes")`)
			p.readable("routes as a table, narrow")
			p.picture("narrow-routes-table")
			p.Screen(1400, 900, false)
			p.readable("routes as a table")
			p.picture("light-routes-table")
			p.Click("#as-graph")
		}
	}
	var made []string
	p.Eval(`[document.title, ...[...document.scripts].map((s) => s.getAttribute("src")), ...[...document.images].map((i) => i.getAttribute("src"))]`, &made)
	if want := []string{"Filter none · router", "main.js", "icon.svg"}; !slices.Equal(made, want) {
		t.Errorf("the title, the scripts and the pictures: %q, want %q", made, want)
	}
	var text string
	p.on("config", "Configuration")
	if p.Eval(`document.body.innerText`, &text); strings.Contains(text, "hidden-password") || !strings.Contains(text, "***") {
		t.Errorf("the configuration hides no password:\n%s", text)
	}
	p.well()
}

// The graph has an edge for each way of a message, marks what fails, and is gone
// through with the keyboard.
func TestTheGraph(t *testing.T) {
	w := newWorld(t, "")
	w.load()
	p := look(t, w)
	p.flowing()
	p.Wait(`document.querySelector("#node-route\\:runaway.bad .chip.failing")`)
	p.Wait(`document.querySelector("#node-route\\:billing .chip.shadow")`)
	var edges []string
	p.Eval(`(async () => {
		const { model } = await import("/console/graph/model.js");
		const { live } = await import("/console/live.js");
		return model(live.plan.routes, new Map()).edges.map((e) => [e.from.label, e.kind, e.to.label].join(" ")).filter((e) => !e.includes("img"));
	})()`, &edges)
	slices.Sort(edges)
	if want := []string{
		"billing allow queue:rest", "billing send queue:archive", "billing send queue:billing",
		"orders allow queue:orders.created", "orders allow queue:questions", "orders allow queue:rest",
		"questions send queue:mail", "queue:orders listen orders", "queue:orders.created listen billing", "queue:questions listen questions",
		"queue:readings listen readings", "queue:runaway listen runaway",
		"readings send queue:readings.packed", "runaway send queue:archive",
	}; !slices.Equal(edges, want) {
		t.Errorf("edges:\n%s\nwant:\n%s", strings.Join(edges, "\n"), strings.Join(want, "\n"))
	}
	p.TabTo(".box-of")
	var ways []string
	for _, key := range []string{"", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"} {
		if key != "" {
			p.Press(key)
		}
		var at string
		p.Eval(`document.activeElement.getAttribute("aria-label")`, &at)
		name, _, _ := strings.Cut(at, ":")
		ways = append(ways, name)
	}
	if want := []string{"Route billing", "Route billing", "Route questions", "Route runaway", "Route orders"}; !slices.Equal(ways, want) {
		t.Errorf("with the keyboard: %q, want %q", ways, want)
	}
	p.Press("Enter")
	p.Wait(`document.querySelector("h2")?.innerText.startsWith("Route orders")`)
	p.well()
}

// What goes to each target is on its line of the graph and on the route's page, also where
// only a filter names the target, and so is what fails.
func TestTargetsHaveTheirRates(t *testing.T) {
	w := newWorld(t, "")
	w.load()
	p := look(t, w)
	says := func(edge, part, text string) string {
		return `[...document.querySelectorAll('.rate[data-edge="` + edge + `"] ` + part + `')].some((x) => /` + text + `/.test(x.textContent))`
	}
	row := func(target string, column int, text string) string {
		return fmt.Sprintf(`[...document.querySelectorAll('[id="table-Sent by target"] tbody tr')].some((r) => r.cells[0].textContent === %q && /%s/.test(r.cells[%d].textContent))`, target, text, column)
	}
	for _, edge := range []string{"billing → queue:billing", "orders → queue:orders.created", "orders → queue:orders.other", "orders → queue:questions"} {
		p.Wait(says(edge, "tspan", `[1-9].*\/s`))
	}
	w.remove("mail")
	p.Wait(says("questions → queue:mail", ".failed", `[1-9].*\/s fail`))
	p.Wait(`document.querySelector(".edge.failing")`)
	var dead bool
	if p.Eval(`[...document.querySelectorAll(".end title")].some((e) => e.textContent === "queue:dead")`, &dead); dead {
		t.Error("dead letters are drawn as a target")
	}
	var hidden string
	if p.Eval(`(() => {
		const all = [...document.querySelectorAll(".rate[data-edge]")].map((x) => [x.dataset.edge, x.getBoundingClientRect()]).filter(([, r]) => r.width > 0);
		return all.flatMap(([a, r], i) => all.slice(i + 1).filter(([, q]) => r.left < q.right && q.left < r.right && r.top < q.bottom - 3 && q.top < r.bottom - 3).map(([b]) => a + " and " + b)).join(", ");
	})()`, &hidden); hidden != "" {
		t.Errorf("figures lie on one another: %s", hidden)
	}
	p.readable("a target fails")
	p.picture("light-target-fails")
	p.on("route/questions", "Route questions")
	p.Wait(row("queue:mail", 2, "[1-9]") + " && " + row("queue:mail", 3, "[1-9]") + " && " + row("queue:mail", 4, "[1-9]"))
	p.picture("light-route-target-fails")
	p.on("route/orders", "Route orders")
	p.Wait(row("queue:orders.other", 1, "[1-9]") + " && " + row("queue:orders.other", 4, "^0$"))
	p.well()
}

// Among many routes one is found by words, by what is wrong, and as a row of a table.
func TestRoutesAreFound(t *testing.T) {
	w := newWorld(t, "")
	w.load()
	p := look(t, w)
	p.flowing()
	shown := `[...document.querySelectorAll(".box-of.route, #table-Routes tbody tr")].map((r) => r.id.replace(/^(node-route:|row-)/, "")).sort().join(" ")`
	p.TabTo("#words")
	p.Type("orders")
	p.Wait(shown + ` === "billing orders"`)
	p.Press("Tab", "Tab", "Tab", "Enter")
	p.Wait(`document.querySelector("#table-Routes")`)
	p.Wait(shown + ` === "billing orders"`)
	p.Eval(`document.getElementById("words").value = ""; document.getElementById("words").dispatchEvent(new Event("input", { bubbles: true }))`, nil)
	p.Wait(shown + ` === "billing hostile orders questions readings runaway"`)
	p.Eval(`document.getElementById("only").value = "trouble"; document.getElementById("only").dispatchEvent(new Event("change", { bubbles: true }))`, nil)
	p.Wait(shown + `.includes("runaway") && !` + shown + `.includes("readings")`)
	p.TabTo("#route-runaway") // rows come and go beneath a pointer
	p.Press("Enter")
	p.Wait(`document.querySelector("h2")?.innerText.startsWith("Route runaway")`)
	p.well()
}

// The token is asked for, a wrong one is refused, and the right one lasts as long as
// the tab.
func TestTheToken(t *testing.T) {
	w := newWorld(t, "s3cret")
	p := look(t, w)
	p.Wait(`document.activeElement?.id === "token"`)
	p.readable("the form for the token")
	p.picture("light-token")
	p.Type("wrong")
	p.Press("Enter")
	p.Wait(`document.getElementById("wrong") && document.activeElement?.id === "token"`)
	p.readable("the form for the token, after a wrong one")
	p.Type("s3cret")
	p.Press("Enter")
	p.Wait(`document.querySelector(".graph")`)
	p.Open(w.url() + "console/#/filters")
	p.Eval(`location.reload()`, nil)
	p.Wait(`document.querySelector("#table-Filters")`)
}

// A router that is lost is said to be, with what it said last, and shown again when
// it is back.
func TestALostRouter(t *testing.T) {
	w := newWorld(t, "")
	p := look(t, w)
	p.Wait(`document.querySelector(".graph")`)
	w.stop()
	p.Wait(`document.querySelector(".banner")?.innerText.includes("does not answer") && document.getElementById("state").innerText === "no answer" && document.querySelector(".graph")`)
	p.readable("the router is lost")
	p.picture("light-lost")
	w.start()
	p.Wait(`!document.querySelector(".banner") && document.getElementById("state").innerText === "ready"`)
}

// A page that nobody sees asks for nothing.
func TestAHiddenPageAsksForNothing(t *testing.T) {
	w := newWorld(t, "")
	p := look(t, w)
	p.Before(`(() => {
		const asked = window.fetch;
		window.underWay = new Set();
		window.fetch = async (...what) => {
			const key = {};
			underWay.add(key);
			const signal = what[1]?.signal;
			signal?.addEventListener("abort", () => underWay.delete(key));
			let lasts = false;
			try {
				const answer = await asked(...what);
				lasts = answer.ok && String(what[0]).includes("/events?");
				return answer;
			} finally {
				if (!lasts) underWay.delete(key);
			}
		};
	})()`)
	p.Open(w.url() + "?")
	p.Wait(`document.querySelector(".graph")`)
	p.Eval(`Object.defineProperty(document, "hidden", { get: () => window.away, configurable: true }); window.away = true; document.dispatchEvent(new Event("visibilitychange"))`, nil)
	p.Wait(`underWay.size === 0`)
	var before, after int
	p.Eval(`performance.getEntriesByType("resource").length`, &before)
	p.Eval(`new Promise((done) => setTimeout(done, 50))`, nil)
	p.Eval(`performance.getEntriesByType("resource").length`, &after)
	if after != before {
		t.Errorf("%d requests while hidden", after-before)
	}
	p.Eval(`window.away = false; document.dispatchEvent(new Event("visibilitychange"))`, nil)
	p.Wait(`underWay.size > 0`)
	p.well()
}
