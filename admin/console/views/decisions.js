// What became of a route's last messages.

import { get, part } from "../api.js";
import { el } from "../dom.js";
import { bytes, clock, time } from "../format.js";
import { dim, facts, mark, section } from "../parts.js";

let all; // as last told; undefined: not asked yet; null: this router does not tell

const kinds = { forward: "good", reply: "good", reject: "bad", requeue: "warn", drop: "" };

// reading reports whether somebody is at the list or has opened one: then it stands still.
const reading = () => Boolean(document.querySelector(".decision[open], .decisions:hover, .decisions:focus-within"));

export async function loadDecisions(route) {
	if (!reading()) all = await get("decisions?route=" + part(route));
}

export const forgetDecisions = () => (all = undefined);

function step(s) {
	return el("li", {}, el("b", {}, s.filter), " ", el("span", { class: "dim" }, s.stage + ", " + time(s.took)), " → ", s.action || "goes on",
		s.targets?.length ? " to " + s.targets.join(", ") : "", s.emitted ? `, ${s.emitted} more made` : "", s.error ? el("span", { class: "bad" }, " " + s.error) : null);
}

function send(s) {
	return el("li", {}, el("b", {}, s.target), " ", mark(s.result, { ok: "good", failed: "bad" }[s.result]), s.error ? el("span", { class: "bad" }, " " + s.error) : null);
}

const list = (title, items, none) => el("div", {}, el("h4", {}, title), items.length ? el("ol", { class: "plain" }, items) : dim(none));

// content shows a message's headers and its body, or that they are hidden.
export function content(headers, body, encoded) {
	return [
		headers && Object.keys(headers).length ? el("div", {}, el("h4", {}, "Headers"), facts(Object.entries(headers).map(([k, v]) => [k, typeof v === "string" ? v : JSON.stringify(v)]))) : null,
		body !== undefined && body !== null ? el("div", {}, el("h4", {}, "Body"), el("pre", { class: "body" }, body)) : encoded ? el("div", {}, el("h4", {}, "Body, in base64"), el("pre", { class: "body" }, encoded)) : null,
	];
}

function decision(d, shown) {
	const to = d.sends.map((s) => s.target).join(", ");
	return el("details", { class: "decision", id: ["d", d.at, d.message_id, d.routing_key].join("-") },
		el("summary", {}, el("time", {}, clock(d.at)), mark(d.verdict, kinds[d.verdict]),
			el("span", { class: "what" }, d.message_id || d.routing_key || "no message id", d.reason ? el("span", { class: "bad" }, " " + d.reason + (d.filter ? ", said " + d.filter : "")) : null, to ? el("span", { class: "dim" }, " → " + to) : null),
			el("span", { class: "num" }, time(d.took))),
		el("div", { class: "inside" },
			list("Filters", d.steps.map(step), "No filter had a say."),
			list("Published", d.sends.map(send), "Nothing was published."),
			d.error ? el("p", { class: "bad" }, d.error) : null,
			facts([["Exchange and key", (d.exchange || "default") + " / " + d.routing_key], ["Content type", d.content_type], ["Body", bytes(d.bytes)], ["Tries", String(d.attempts)], ["Delivered before", d.redelivered ? "yes" : null]]),
			shown ? content(d.headers, d.body, d.body_base64) : dim("Bodies and headers are hidden; admin.bodies = true shows them.")));
}

export function decisionsSection(name) {
	if (all === null) return section("Recent decisions", dim("This router does not tell of single messages."));
	const mine = (all?.decisions || []).filter((d) => d.route === name).slice(0, 20);
	return section("Recent decisions",
		dim("A sample of the messages, the newest first. ", reading() ? "The list stands still while you are at it." : "Open one to see what each filter made of it."),
		mine.length ? el("div", { class: "decisions" }, mine.map((d) => decision(d, all.bodies))) : dim(all ? "None so far." : "Loading."));
}
