// Questions, and what became of what was asked for.

import { el } from "./dom.js";

let returnTo = null;

// close closes the dialog that is open and gives the focus back.
function close(dialog) {
	dialog.close();
	dialog.remove();
	const to = returnTo?.isConnected ? returnTo : returnTo?.id ? document.getElementById(returnTo.id) : null;
	(to || document.getElementById("main")).focus({ preventScroll: true });
}

// open shows a dialog: its title, what is in it, and what can be done, with cancel. The
// first of the actions is done by Enter.
export function open(title, body, actions, cancel = "Cancel") {
	returnTo = document.activeElement;
	const said = el("p", { class: "bad", role: "alert" });
	let busy = false;
	const run = async (action) => {
		if (busy) return;
		busy = true;
		said.textContent = "";
		dialog.classList.add("busy");
		try {
			const done = await action.do();
			if (done === false) return;
			close(dialog);
			if (typeof done === "string") say(done);
		} catch (e) {
			said.textContent = e.message;
		} finally {
			busy = false;
			dialog.classList.remove("busy");
		}
	};
	const form = el("form", { on: { submit: (event) => (event.preventDefault(), actions[0] && run(actions[0])) } },
		el("h2", { id: "dialog-title" }, title), body, said,
		el("p", { class: "buttons" },
			actions.map((a, i) => el("button", { type: i ? "button" : "submit", class: a.kind || (i ? null : "main"), disabled: a.disabled, id: a.id || null, on: i ? { click: () => run(a) } : undefined }, a.text)),
			el("button", { type: "button", id: "cancel", on: { click: () => close(dialog) } }, cancel)));
	const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, form);
	dialog.addEventListener("cancel", (event) => {
		event.preventDefault();
		close(dialog);
	});
	document.body.append(dialog);
	dialog.showModal();
	(form.querySelector("input, textarea, select") || form.querySelector(actions.length && !actions[0].kind ? "button[type=submit]" : "#cancel")).focus();
	return dialog;
}

// confirm asks before something is done. A word makes that it must be typed.
export function confirm(title, text, action, word) {
	if (!word) return open(title, el("p", {}, text), [action]);
	const input = el("input", { id: "typed", autocomplete: "off", spellcheck: "false", required: true, on: { input: () => (document.getElementById("do").disabled = input.value !== word) } });
	return open(title, [el("p", {}, text), el("label", { for: "typed" }, "Type ", el("b", { class: "name" }, word), " to confirm:"), input], [
		{ ...action, id: "do", kind: "danger", disabled: true, do: () => (input.value === word ? action.do() : false) },
	]);
}

// say tells what became of something, for a while.
export function say(text, bad) {
	const place = document.getElementById("said");
	const note = el("p", { class: bad ? "told bad" : "told" }, text);
	place.append(note);
	setTimeout(() => note.remove(), 8000);
}

// attempt does something that needs no question, and tells what became of it.
export async function attempt(done, action) {
	try {
		await action();
		say(done);
	} catch (e) {
		say(e.message, true);
	}
}
