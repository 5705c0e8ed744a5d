package console

import "testing"

// Dead letters are listed with their reasons, inspected, replayed one, some and all,
// and purged after the queue's name was typed.
func TestDeadLetters(t *testing.T) {
	w := newWorld(t, "")
	w.showBodies()
	letters := func(p *page, n string) {
		p.t.Helper()
		p.Wait(`document.querySelectorAll("#table-Dead\\ letters tbody tr").length ` + n)
	}
	eachWay(t, w, func(p *page, how string, do func(string)) {
		w.reject(10)
		p.on("letters", "Dead letters")
		p.Wait(`/[1-9]/.test(document.querySelector("#table-Dead\\ letter\\ queues td.num")?.innerText)`)
		p.readable("the queues of dead letters")
		do("#queue-dead")
		letters(p, "=== 10")
		p.Wait(`document.querySelector("#table-Dead\\ letters").innerText.includes("rejected")`)
		p.readable("the dead letters")
		p.picture("light-letters")
		do("#table-Dead\\ letters tbody button.link")
		p.Wait(`document.querySelector("dialog").innerText.includes("<script>")`)
		p.readable("a dead letter")
		p.picture("light-letter-" + how)
		p.Press("Escape")

		do("#replay-all")
		do("#dry")
		p.Wait(`document.querySelector("dialog").innerText.includes("10 letters of dead would be replayed.")`)
		p.picture("light-replay")
		p.Press("Escape")

		// What is replayed is rejected again: it goes elsewhere instead.
		do("#table-Dead\\ letters tbody button.link")
		do("#one-replay")
		p.Wait(`document.activeElement?.id === "to"`)
		p.Type("queue:archive")
		do("dialog button.main")
		p.said("1 letter of dead replayed.")
		letters(p, "=== 9")

		for range 2 {
			p.TabTo("#table-Dead\\ letters input:not(:checked)")
			p.Press(" ")
		}
		p.Wait(`document.getElementById("replay-chosen").innerText === "Replay 2 chosen…"`)
		do("#replay-chosen")
		p.Wait(`document.activeElement?.id === "to"`)
		p.Type("queue:archive")
		do("dialog button.main")
		p.said("2 letters of dead replayed.")
		letters(p, "=== 7")

		do("#purge-all")
		p.Wait(`document.activeElement?.id === "typed"`)
		p.Type("dea")
		p.Wait(`document.getElementById("do").disabled`)
		p.readable("the question before a purge")
		p.Type("d")
		p.Wait(`!document.getElementById("do").disabled`)
		p.picture("light-purge")
		do("#do")
		p.said("7 letters of dead removed.")
		p.Wait(`document.body.innerText.includes("There are none.")`)
		p.well()
	})
}

// holding has a page's questions about dead letters answered when the test wants it:
// while window.hold is true they wait in window.held, with window.fail they fail.
const holding = `(() => {
	const ask = window.fetch;
	window.held = [];
	window.fetch = async (...what) => {
		const url = String(what[0]);
		if (!url.includes("/api/dead-letters/dead")) return ask(...what);
		if (window.fail) throw new TypeError("a test");
		const wait = window.hold ? new Promise((go) => held.push(go)) : null;
		const answer = await ask(...what);
		await wait;
		return answer;
	};
	// settled is when what was let go is done, and drawn.
	window.settled = () => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true))))));
})()`

// An answer that comes when something else is on the page changes nothing there, and
// one that does not come is told.
func TestLateAnswersAboutDeadLetters(t *testing.T) {
	w := newWorld(t, "")
	w.reject(3)
	p := look(t, w)
	p.Before(holding)
	p.Open(w.url() + "?")
	rows := func(what string, n int) {
		t.Helper()
		var got int
		if p.Eval(`document.querySelectorAll("#table-Dead\\ letters tbody button.link").length`, &got); got != n {
			t.Errorf("%s: %d letters, want %d", what, got, n)
		}
	}
	letGo := func() {
		t.Helper()
		p.Wait(`held.length === 1`)
		p.Eval(`held.pop()(), settled()`, nil)
	}
	choose := func(route string) {
		t.Helper()
		p.Eval(`(() => { const s = document.getElementById("only-route"); s.value = "`+route+`"; s.dispatchEvent(new Event("change", { bubbles: true })) })()`, nil)
	}
	const all = `document.querySelectorAll("#table-Dead\\ letters tbody button.link").length === 3`
	p.on("letters/dead", "Dead letters in dead")
	p.Wait(all)

	p.Eval(`window.hold = true`, nil)
	choose("billing")
	p.Wait(`held.length === 1`)
	p.Eval(`window.hold = false`, nil)
	choose("orders")
	p.Eval(`settled()`, nil)
	p.Wait(all)
	letGo()
	rows("the answer for another route is late", 3)

	p.Eval(`window.hold = true`, nil)
	p.Click("#table-Dead\\ letters tbody button.link")
	p.Wait(`held.length === 1`)
	p.on("routes", "Routes")
	letGo()
	p.Eval(`window.hold = false`, nil)
	p.Eval(`settled()`, nil)
	var dialogs int
	if p.Eval(`document.querySelectorAll("dialog").length`, &dialogs); dialogs > 0 {
		t.Error("a letter opens on another page")
	}

	p.on("letters/dead", "Dead letters in dead")
	p.Wait(all)
	p.Eval(`window.fail = true`, nil)
	p.Click("#refresh")
	p.Wait(`document.getElementById("main").innerText.includes("The router does not answer.")`)
	p.Eval(`window.fail = false`, nil)
	p.Click("#refresh")
	p.Wait(all + ` && !document.getElementById("main").innerText.includes("The router does not answer.")`)
	p.Eval(`window.fail = true`, nil)
	choose("billing")
	p.Wait(`document.getElementById("main").innerText.includes("The router does not answer.")`)
	rows("the list of another route does not come", 0)
	p.Eval(`settled()`, nil)
	p.well()
}

// A list ends where the router's answers do, and says so.
func TestALongListOfDeadLettersSaysWhereItEnds(t *testing.T) {
	w := newWorld(t, "")
	w.reject(1001)
	p := look(t, w)
	rows := func(n string) {
		t.Helper()
		p.Wait(`document.querySelectorAll("#table-Dead\\ letters tbody tr").length === ` + n)
	}
	p.on("letters/dead", "Dead letters in dead")
	rows("200")
	p.Click("#show-more")
	rows("1000")
	p.Wait(`document.getElementById("main").innerText.includes("The list ends at 1,000 letters, the most that the router tells of at once") && !document.getElementById("show-more")`)
	p.well()
}
