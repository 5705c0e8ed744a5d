// A route's page.

import { part, post } from "../api.js";
import { attempt, confirm } from "../dialogs.js";
import { el } from "../dom.js";
import { count, moment, rate, sum, time } from "../format.js";
import { delta, live, quantile } from "../live.js";
import { address, chart, dim, facts, failed, figure, figuresOf, head, mark, num, routeMark, section, table, tally, tiles, toTarget } from "../parts.js";
import { askToRecord, loadRecordings, progress, recordingOf, sizeOf, stopRecording } from "../recorder.js";
import { decisionsSection, forgetDecisions, loadDecisions } from "./decisions.js";
import { trialMark } from "./trial.js";

function chain(stages, label) {
	const filters = new Map(live.status.filters.map((f) => [f.name, f]));
	return el("ol", { class: "stages", "aria-label": label }, stages.map((s) => el("li", {},
		el("h4", {}, s.stage),
		el("ol", {}, s.filters.map((name) => {
			const f = filters.get(name);
			return el("li", { class: f?.failing ? "card bad" : "card" },
				el("a", { id: "f-" + s.stage + "-" + name, href: address("filter", name) }, name),
				f?.failing ? mark("failing", "bad", f.failing) : null,
				trialMark(f?.shadow),
				el("small", {}, rate(delta("filters", name, (x) => x.calls)) + " calls/s, p99 " + time(quantile("filters", name, 0.99))));
		})))));
}

const ends = (label, list, none) => el("div", { class: "ends" }, el("h4", {}, label), list.length ? el("ul", {}, list.map((t) => el("li", { class: "card" }, t))) : dim(none));

const beside = { other: "others that a filter chose", replies: "replies to callers" };

function targets(r) {
	return table("Sent by target", ["Target", num("Sent/s"), num("Failures/s"), num("Sent"), num("Failures")], r.targets.map((t) => {
		const f = toTarget(r.name, t.target);
		return el("tr", {}, head(beside[t.target] || t.target), figure(rate(f.sent)), figure(rate(f.failed), f.failed > 0), figure(count(t.sent.ok)), figure(count(failed(t)), failed(t) > 0));
	}), "None so far.");
}

function way(plan) {
	return el("div", { class: "way" },
		ends("listens to", [plan.listen]),
		plan.chain.length ? chain(plan.chain, "Filters by stage") : dim("no filters"),
		plan.send?.length ? ends("sends to", plan.send) : null,
		plan.allow?.length ? ends(plan.send?.length ? "a filter may send to" : "sends where a filter says, to", plan.allow) : null,
		!plan.send?.length && !plan.allow?.length ? ends("sends to", [], "nowhere unless a filter decides") : null);
}

function buttons(r) {
	const recording = recordingOf(r.name);
	return el("p", { class: "buttons" },
		recording ? el("span", { class: "live" }, mark("recording", "bad"), " ", progress(recording, r.name)) : null,
		recording ? el("button", { id: "record-stop", type: "button", on: { click: () => stopRecording(r.name) } }, sizeOf(r.name) === undefined ? "Stop recording" : "Stop and save") : el("button", { id: "record", type: "button", on: { click: () => askToRecord(r.name) } }, "Record…"),
		r.paused
			? el("button", { id: "resume", type: "button", class: "main", on: { click: () => attempt(`Route ${r.name} goes on.`, () => post(`routes/${part(r.name)}/resume`)) } }, "Resume")
			: el("button", { id: "pause", type: "button", on: { click: () => pause(r) } }, "Pause…"));
}

function pause(r) {
	confirm(`Pause ${r.name}?`, `It takes nothing more from the queue ${r.queue}, whose messages wait, until it is resumed or the router ends. What it has in hand is finished first.`, {
		text: "Pause",
		do: async () => {
			await post(`routes/${part(r.name)}/pause`);
			return `Route ${r.name} is paused.`;
		},
	});
}

export default {
	title: (name) => "Route " + name,
	under: "routes",
	every: 2000,
	async load(name) {
		if (!live.plan?.routes.some((r) => r.name === name)) return;
		await Promise.all([loadDecisions(name), loadRecordings()]);
	},
	leave: forgetDecisions,
	render(name) {
		const r = live.status.routes.find((x) => x.name === name);
		const plan = live.plan.routes.find((x) => x.name === name);
		if (!r || !plan) return [el("h2", {}, name), el("p", {}, "There is no route of that name. ", el("a", { href: "#/routes" }, "All routes"))];
		const f = figuresOf(name);
		const dead = sum(r.dead_letters);
		return [
			el("div", { class: "top" }, el("h2", {}, el("span", { class: "kind" }, "Route "), r.name, " ", routeMark(r)), buttons(r)),
			r.paused ? el("p", {}, "Paused since " + moment(r.paused_at) + ". Its messages wait in the queue " + r.queue + ".") : null,
			r.failure ? el("p", { class: "bad" }, r.failure) : null,
			tiles([
				{ name: "In", value: rate(f.received), unit: "/s" },
				{ name: "Sent", value: rate(f.sent), unit: "/s" },
				{ name: "p50", value: time(f.p50), title: "half of the messages were settled in this time or less" },
				{ name: "p99", value: time(f.p99) },
				{ name: "In hand", value: count(r.inflight), title: "taken and not settled" },
				{ name: "Held", value: count(r.held), bad: r.held > 0, title: "waiting to be tried again" },
				{ name: "Failures", value: rate(f.failed), unit: "/s", bad: f.failed > 0 },
				{ name: "Dead letters", value: count(dead), bad: dead > 0, title: "since the router began" },
			]),
			section("Last minutes", chart(name, 5)),
			section("Path of a message", way(plan)),
			section("Sent by target", targets(r)),
			decisionsSection(name),
			plan.oslo?.replies?.length ? section("Path of a reply", chain(plan.oslo.replies, "Filters of replies by stage")) : null,
			el("div", { class: "columns" },
				section("Settled as", tally("Settled as", r.settled, ["Verdict", { text: "Messages", num: true }])),
				section("Sent", tally("Sent", r.sent, ["Result", { text: "Messages", num: true }])),
				section("Dead letters by reason", tally("Dead letters by reason", r.dead_letters, ["Reason", { text: "Messages", num: true }], true), el("p", {}, el("a", { id: "letters", href: address("letters", plan.dead_letter) }, "Inspect and replay them")))),
			section("Counts and configuration", facts([
				["Received", count(r.received) + (r.redelivered ? ", of them delivered again " + count(r.redelivered) : "")],
				["Tried again", count(r.retries)], ["Failures of filters", count(r.filter_failures)],
				["Dead letters refused", r.dead_letter_failures ? count(r.dead_letter_failures) : null],
				["Format", plan.format], ["Mode", plan.oslo?.mode], ["Order", plan.order], ["Lanes", count(plan.lanes)], ["Prefetch", count(plan.prefetch)],
				["Largest body", plan.max_message], ["On an error", plan.on_error], ["Dead letters go to", el("a", { id: "to-letters", href: address("letters", plan.dead_letter) }, plan.dead_letter)],
				["Tries", plan.retry.max_attempts + ", " + plan.retry.backoff + " to " + plan.retry.max_backoff + " apart"],
				["Duplicates", plan.dedup.window ? "dropped within the last " + count(plan.dedup.window) + " messages and " + plan.dedup.ttl : null],
			])),
		];
	},
};
