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
