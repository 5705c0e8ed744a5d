package console

import (
	"fmt"
	"strings"
	"testing"
)

// manyRoutes are 200 routes of 20 tenants, each of which has two routes in a row.
func manyRoutes() string {
	var b strings.Builder
	b.WriteString("[log]\nlevel = \"error\"\n[queues.audit]\n")
	for tenant := range 20 {
		for i := range 10 {
			name := fmt.Sprintf("tenant%02d.route%d", tenant, i)
			fmt.Fprintf(&b, "[queues.%q]\n[queues.%q]\n", name+".in", name+".out")
			listen := name + ".in"
			if i == 1 {
				listen = fmt.Sprintf("tenant%02d.route0.out", tenant)
			}
			fmt.Fprintf(&b, "[routes.%q]\nlisten = %q\nsend = [%q, \"queue:audit\"]\n", name, listen, "queue:"+name+".out")
		}
	}
	return b.String()
}

// Two hundred routes are folded into their tenants, unfolded by click and by key, and
// found by a word.
func TestTwoHundredRoutes(t *testing.T) {
	w := newWorld(t, "")
	w.stop()
	w.configure(manyRoutes(), "")
	w.start()
	p := look(t, w)
	boxes := func(kind string, n int) string {
		return fmt.Sprintf(`document.querySelectorAll(".box-of.%s[id]").length === %d`, kind, n)
	}
	p.Wait(boxes("group", 20) + " && " + boxes("route", 0))
	p.readable("200 routes in groups")
	p.picture("light-many-folded")
	p.TabTo(".box-of")
	p.Press("ArrowDown", "Enter")
	p.Wait(boxes("group", 19) + " && " + boxes("route", 10) + ` && document.activeElement?.classList.contains("route")`)
	p.picture("light-many-one")
	p.Click("#node-group\\:tenant00")
	p.Wait(boxes("group", 18) + " && " + boxes("route", 20))
	p.Click("#unfold")
	p.Wait(boxes("group", 0) + " && " + boxes("route", 200))
	p.Screen(1400, 900, true)
	p.picture("dark-many-all")
	var apart bool // that no two boxes lie on each other
	if p.Eval(`(() => {
		const all = [...document.querySelectorAll(".box-of[id], .end")].map((b) => b.querySelector("rect").getBoundingClientRect());
		return all.every((a, i) => all.every((b, j) => i >= j || a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top));
	})()`, &apart); !apart {
		t.Error("boxes lie on each other")
	}
	p.Click("#fold")
	p.Wait(boxes("group", 20))
	p.Click("#words")
	p.Type("tenant07.route1")
	p.Wait(boxes("group", 0) + " && " + boxes("route", 1))
	p.well()
}
