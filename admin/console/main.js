// The console: which page is shown, and when it is drawn again.

import { token } from "./api.js";
import { el, morph } from "./dom.js";
import { clock } from "./format.js";
import { begin, live, watch } from "./live.js";
import broker from "./views/broker.js";
import config from "./views/config.js";
import connections from "./views/connections.js";
import filter from "./views/filter.js";
import filters from "./views/filters.js";
import letters from "./views/letters.js";
import log from "./views/log.js";
import route from "./views/route.js";
import routes from "./views/routes.js";

// A page has a title, and render(name, redraw) that returns what it shows; load(name,
// redraw) asks for what only it shows, again after "every" milliseconds; after() is
// called with the page drawn, leave() when another takes its place.
const pages = { routes, route, filters, filter, letters, connections, broker, config, log };

const main = document.getElementById("main");
let here = { page: null, name: undefined, hash: null, trouble: "", timer: 0 };

function place() {
	const parts = location.hash.replace(/^#\/?/, "").split("/");
	let name;
	try {
		name = parts.length > 1 ? decodeURIComponent(parts[1]) : undefined;
	} catch {
		name = parts[1];
	}
	const key = Object.hasOwn(pages, parts[0]) ? parts[0] : "routes";
	return { key, page: pages[key], name };
}

// go shows the page that the address names.
function go() {
	const { key, page, name } = place();
	here.page?.leave?.();
	clearTimeout(here.timer);
	here = { key, page, name, hash: location.hash, trouble: "", timer: 0 };
	for (const a of document.querySelectorAll("nav a")) {
		if (a.getAttribute("href") === "#/" + (page.under || key)) a.setAttribute("aria-current", "page");
		else a.removeAttribute("aria-current");
	}
	document.title = page.title(name) + " · router";
	load(here);
	draw();
}

async function load(at) {
	if (!at.page.load || live.denied || document.hidden) return;
	try {
		await at.page.load(at.name, soon);
		at.trouble = "";
	} catch (e) {
		at.trouble = e.message;
	}
	if (at !== here) return;
	soon();
	if (at.page.every) at.timer = setTimeout(() => load(at), at.page.every);
}

let waiting = false;

// soon draws the page before the next frame, once for all that asked.
function soon() {
	if (waiting) return;
	waiting = true;
	requestAnimationFrame(() => {
		waiting = false;
		draw();
	});
}

function draw() {
	if (live.denied) return askForToken();
	if (!live.status) {
		if (live.lost) show([el("p", { class: "bad" }, live.why || "The router does not answer. Trying again.")]);
		return;
	}
	chrome();
	const s = live.status;
	show([
		live.lost ? el("p", { class: "banner bad", role: "alert" }, `The router does not answer since ${clock(live.lost)}. This is what it said before; the console keeps asking.`) : null,
		s.reload.successful ? null : el("p", { class: "banner bad" }, "The last reload failed; the configuration before it is in force. The log says why."),
		s.reasons.length ? el("ul", { class: s.ready ? "reasons fine" : "reasons", "aria-label": s.ready ? "What else there is to know" : "Why the router is not ready" }, s.reasons.map((r) => el("li", {}, r))) : null,
		here.trouble && !live.lost ? el("p", { class: "banner bad" }, here.trouble) : null,
		here.page.render(here.name, soon),
	]);
	main.classList.toggle("stale", Boolean(live.lost));
	here.page.after?.();
}

const show = (parts) => morph(main, el("main", {}, parts));

// chrome is what is around the page.
function chrome() {
	const s = live.status;
	const [text, kind] = live.lost ? ["no answer", "bad"] : s.ready ? ["ready", "good"] : ["not ready", "bad"];
	const state = document.getElementById("state");
	if (state.textContent !== text) state.replaceChildren(el("span", { class: "mark " + kind }, text));
	document.getElementById("version").textContent = s.version;
	document.getElementById("broker-link").hidden = !s.embedded;
}

function askForToken() {
	if (document.getElementById("token")) return;
	document.getElementById("state").replaceChildren();
	const wrong = token.get() !== "";
	const input = el("input", { id: "token", type: "password", autocomplete: "off", required: true, "aria-describedby": wrong ? "wrong" : null });
	const sign = (event) => {
		event.preventDefault();
		token.set(input.value.trim());
		live.denied = false;
		main.replaceChildren(el("p", {}, "Loading."));
		begin();
		go();
	};
	main.replaceChildren(el("form", { class: "token", on: { submit: sign } }, el("h2", {}, "Sign in"),
		wrong ? el("p", { class: "bad", id: "wrong", role: "alert" }, "That is not the token.") : null,
		el("label", { for: "token" }, "The admin token of this router:"), input, el("button", { class: "main" }, "Sign in")));
	input.focus();
}

function theme() {
	const button = document.getElementById("theme");
	const themes = ["auto", "light", "dark"];
	const set = (name) => {
		document.documentElement.style.colorScheme = name === "auto" ? "light dark" : name;
		button.textContent = "Theme: " + name;
		localStorage.setItem("theme", name);
	};
	button.addEventListener("click", () => set(themes[(themes.indexOf(localStorage.getItem("theme")) + 1) % themes.length]));
	set(themes.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");
}

document.querySelector(".skip").addEventListener("click", (event) => {
	event.preventDefault(); // the address is the page's
	main.focus();
});
addEventListener("hashchange", () => {
	go();
	main.focus({ preventScroll: true });
	scrollTo(0, 0);
});
document.addEventListener("visibilitychange", () => document.hidden || (clearTimeout(here.timer), load(here)));
watch((name) => name === "change" && soon());
theme();
begin();
go();
