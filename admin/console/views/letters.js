// Dead letters: the queues that have some, and those of one queue.

import { get, part, post } from "../api.js";
import { confirm, open } from "../dialogs.js";
import { el } from "../dom.js";
import { bytes, count, moment, plural, time } from "../format.js";
import { live } from "../live.js";
import { address, cell, dim, facts, figure, head, mark, num, table } from "../parts.js";
import { content } from "./decisions.js";

const few = 200; // that a list shows at first
const bound = 1000; // and at most: the router tells of no more at once

let queues; // undefined: not asked yet; null: this router does not tell
let list; // of one queue
let chosen = new Set(); // ids
let only = { reason: "", route: "" };
let most = few;
let trouble = ""; // why there is no list

// Answers may come late: what is shown is of the last question about the page that is
// shown. Each question has a number.
let shown; // the queue of that page
let asked = 0;
let looked = 0; // at single letters

function leave() {
	shown = list = undefined;
	chosen = new Set();
	only = { reason: "", route: "" };
	most = few;
	trouble = "";
	asked++;
	looked++;
}

// loadList asks for the letters of the queue that is shown. What keeps them from coming
// is shown in their place.
async function loadList(name) {
	if (name !== shown) return;
	const mine = ++asked;
	const query = new URLSearchParams({ limit: String(most) });
	for (const [k, v] of Object.entries(only)) if (v) query.set(k, v);
	let answer, failed = "";
	try {
		answer = await get(`dead-letters/${part(name)}?${query}`);
	} catch (e) {
		failed = e.message;
	}
	if (mine !== asked) return;
	[list, trouble] = [answer, failed];
	const there = new Set((list?.letters || []).map((l) => l.id));
	chosen = new Set([...chosen].filter((id) => there.has(id)));
}

async function loadQueues() {
	const mine = ++asked;
	const answer = (await get("dead-letters"))?.queues ?? null;
	if (mine === asked) queues = answer;
}

// which says in a request which letters are meant, and in words.
function which(ids) {
	if (ids) return [{ ids }, plural(ids.length, "letter")];
	const said = Object.fromEntries(Object.entries(only).filter(([, v]) => v));
	if (!Object.keys(said).length) return [{ all: true }, "all letters"];
	return [said, "all letters" + (only.reason ? ` with the reason ${only.reason}` : "") + (only.route ? ` of the route ${only.route}` : "")];
}

const more = (r) => (r.more ? " The time of one request was up: there may be more, do it again." : "");

function askToReplay(name, ids, redraw) {
	const [selection, words] = which(ids);
	const rate = el("input", { id: "rate", type: "number", min: "0", value: "0", inputmode: "numeric" });
	const to = el("input", { id: "to", placeholder: "where each came from", autocomplete: "off", spellcheck: "false" });
	const edit = el("select", { id: "edit" }, el("option", { value: "" }, "nothing"), live.plan.filters.map((f) => el("option", { value: f.name }, f.name)));
	const request = (dry) => post(`dead-letters/${part(name)}/replay`, { ...selection, to: to.value.trim(), edit: edit.value, rate: Number(rate.value) || 0, dry_run: dry });
	const said = (r, verb) => `${plural(r.replayed, "letter")} of ${name} ${verb}.` + (r.failed ? ` ${plural(r.failed, "letter")} could not be: ${r.failures[0]?.error || ""}` : "") + more(r);
	const result = el("p", { role: "status" });
	open(`Replay ${words} of ${name}?`, [
		el("p", {}, "Each is sent again and leaves this queue when the broker has confirmed that another queue has it."),
		el("label", { for: "to" }, "To (such as queue:orders)"), to,
		el("label", { for: "edit" }, "Changed on the way by the filter"), edit,
		el("label", { for: "rate" }, "Letters a second at most, 0 for as fast as it goes"), rate, result,
	], [
		{
			text: "Replay",
			do: async () => {
				const r = await request(false);
				await loadList(name);
				redraw();
				return said(r, "replayed");
			},
		},
		{
			text: "Try without sending",
			id: "dry",
			do: async () => {
				result.textContent = said(await request(true), "would be replayed");
				return false;
			},
		},
	]);
}

function askToPurge(name, ids, redraw) {
	const [selection, words] = which(ids);
	confirm(`Purge ${words} of ${name}?`, "They are removed for good. Nothing brings them back.", {
		text: "Purge",
		do: async () => {
			const r = await post(`dead-letters/${part(name)}/purge`, { ...selection, confirm: name });
			await loadList(name);
			redraw();
			return `${plural(r.matched, "letter")} of ${name} removed.` + more(r);
		},
	}, name);
}

// inspect shows a letter, unless the reader has gone on before the answer came.
async function inspect(name, letter, redraw) {
	const mine = ++looked;
	const still = () => mine === looked && !document.querySelector("dialog");
	try {
		const d = await ask(name, letter);
		if (still()) show(name, d, redraw);
	} catch (e) {
		if (still()) open("Letter " + letter.id, el("p", {}, e.message), [], "Close");
	}
}

async function ask(name, letter) {
	const at = `dead-letters/${part(name)}/${part(letter.id)}`;
	let d = await get(at);
	if (d && !d.message.hidden) d = (await get(at + "?body=auto")) || d;
	if (!d) throw new Error("The letter is not there any more.");
	return d;
}

function show(name, d, redraw) {
	const m = d.message;
	const body = m.body_json !== undefined ? JSON.stringify(m.body_json, null, 2) : m.body;
	const dialog = open("Letter " + d.id, [
		facts([
			["Reason", mark(d.reason, "bad")], ["Error", d.error], ["Route", d.route], ["Filter and stage", [d.filter, d.stage].filter(Boolean).join(", ")], ["Tries", d.attempts ? count(d.attempts) : null],
			["First seen", d.first_seen ? moment(d.first_seen) : null], ["Came from", [d.queue, [d.exchange, d.routing_key].filter(Boolean).join(" / ")].filter(Boolean).join(", by ")],
			["Targets that did not get it", d.missing?.join(", ")], ["Left out for want of room", d.left_out],
			...(d.deaths || []).map((x) => ["The broker's word", `${x.reason} in ${x.queue}, ${plural(x.count, "time")}, last at ${moment(x.time)}`]),
			...Object.entries(m.properties), ["Body", bytes(m.bytes)],
		]),
		m.hidden ? dim("Bodies and values are hidden; admin.bodies = true shows them.") : null,
		...content(m.hidden ? null : m.headers, body, m.body_hex || m.body_base64),
	], [
		{ text: "Replay…", id: "one-replay", do: () => void setTimeout(() => askToReplay(name, [d.id], redraw)) },
		{ text: "Purge…", id: "one-purge", do: () => void setTimeout(() => askToPurge(name, [d.id], redraw)) },
	], "Close");
	dialog.classList.add("wide");
}

function row(name, l, redraw) {
	const tick = el("input", { type: "checkbox", id: "pick-" + l.id, "aria-label": "Choose letter " + l.id, on: { change: (e) => (e.target.checked ? chosen.add(l.id) : chosen.delete(l.id), redraw()) } });
	const look = () => inspect(name, l, redraw);
	return el("tr", {}, head(tick, " ", el("button", { type: "button", class: "link", id: "letter-" + l.id, on: { click: look } }, l.id), el("p", { class: "dim" }, l.age_seconds === undefined ? "age unknown" : l.age_seconds ? time(l.age_seconds) + " old" : "just now")),
		cell(mark(l.reason, "bad"), l.filter ? el("span", { class: "dim" }, ` ${l.filter}, ${l.stage}`) : null, l.error ? el("p", {}, l.error) : null),
		cell(l.route || "–"), cell([l.queue, [l.exchange, l.routing_key].filter(Boolean).join(" / ")].filter(Boolean).join(", by ")), figure(l.attempts ? count(l.attempts) : "–"), figure(bytes(l.bytes)));
}

function choice(id, label, values, redraw, name) {
	const change = async (e) => {
		only = { ...only, [id]: e.target.value };
		most = few;
		await loadList(name);
		redraw();
	};
	return [el("label", { for: "only-" + id }, label), el("select", { id: "only-" + id, on: { change } }, el("option", { value: "" }, "any"), values.map((v) => el("option", { value: v }, v)))];
}

// ending says where the list ends, and shows more of it.
function ending(name, redraw) {
	const said = `${plural(list.letters.length, "letter")} of ${count(list.ready)} that were there` + (list.more ? "; there may be more like these" : "") + ".";
	if (list.more && list.letters.length >= bound) return dim(said, ` The list ends at ${count(bound)} letters, the most that the router tells of at once; “router dead-letters list” has no such end. Reason and route choose among all, and what is done to all is done to those that are not listed, too.`);
	const more = async () => {
		most = bound;
		await loadList(name);
		redraw();
	};
	return dim(said, list.more && list.letters.length >= most ? [" ", el("button", { id: "show-more", type: "button", on: { click: more } }, `Show up to ${count(bound)}`)] : null);
}

function letters(name, redraw) {
	const routes = live.plan.routes.filter((r) => r.dead_letter === name).map((r) => r.name);
	const reasons = [...new Set([...live.status.routes.flatMap((r) => Object.keys(r.dead_letters)), ...(list?.letters || []).map((l) => l.reason)])].sort();
	const top = el("div", { class: "top" }, el("h2", {}, el("span", { class: "kind" }, "Dead letters in "), name), el("a", { href: "#/letters" }, "All queues"));
	if (list === null) return [top, dim("No route has its dead letters in this queue, or this router does not tell of them.")];
	const picked = [...chosen];
	const none = !list?.letters.length;
	return [top,
		el("div", { class: "tools" }, choice("reason", "Reason", reasons, redraw, name), choice("route", "Route", routes, redraw, name),
			el("button", { id: "refresh", type: "button", on: { click: async () => { await loadList(name); redraw(); } } }, "Refresh")),
		el("div", { class: "tools" },
			el("button", { id: "replay-chosen", type: "button", disabled: !picked.length, on: { click: () => askToReplay(name, picked, redraw) } }, picked.length ? `Replay ${count(picked.length)} chosen…` : "Replay chosen…"),
			el("button", { id: "replay-all", type: "button", disabled: none, on: { click: () => askToReplay(name, null, redraw) } }, only.reason || only.route ? "Replay all like these…" : "Replay all…"),
			el("button", { id: "purge-chosen", type: "button", disabled: !picked.length, on: { click: () => askToPurge(name, picked, redraw) } }, picked.length ? `Purge ${count(picked.length)} chosen…` : "Purge chosen…"),
			el("button", { id: "purge-all", type: "button", disabled: none, on: { click: () => askToPurge(name, null, redraw) } }, only.reason || only.route ? "Purge all like these…" : "Purge all…")),
		list === undefined ? el("p", trouble ? { class: "bad", role: "alert" } : {}, trouble || "Loading.") : [
			ending(name, redraw),
			table("Dead letters", ["Letter", "Reason", "Route", "Came from", num("Tries"), num("Size")], list.letters.map((l) => row(name, l, redraw)), "There are none."),
		],
	];
}

export default {
	title: (name) => (name === undefined ? "Dead letters" : "Dead letters in " + name),
	under: "letters",
	async load(name) {
		shown = name;
		await (name === undefined ? loadQueues() : loadList(name));
	},
	leave,
	render(name, redraw) {
		if (name !== undefined) return letters(name, redraw);
		const top = el("div", { class: "top" }, el("h2", {}, "Dead letters"), dim("messages that a route could not send on, with the reason"));
		if (queues === undefined) return [top, el("p", {}, "Loading.")];
		if (queues === null) return [top, dim("This router does not tell of its dead letters; `router dead-letters` does.")];
		return [top, table("Dead letter queues", ["Queue", "Of the routes", num("Letters"), num("Consumers")],
			queues.map((q) => el("tr", {}, head(el("a", { id: "queue-" + q.queue, href: address("letters", q.queue) }, q.queue), q.error ? el("p", { class: "bad" }, q.error) : null),
				cell(q.routes.join(", ")), figure(count(q.messages), q.messages > 0), figure(count(q.consumers)))), "No route keeps dead letters.")];
	},
};
