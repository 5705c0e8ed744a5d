// What several pages are made of.

import { el, svg } from "./dom.js";
import { count, rate, sum, time } from "./format.js";
import { delta, failures, live, quantile, rates } from "./live.js";

export const num = (text, title) => ({ num: true, text, title });
export const cell = (...c) => el("td", {}, ...c);
export const head = (...c) => el("th", { scope: "row" }, ...c);
export const figure = (v, bad) => el("td", { class: "num" + (bad ? " bad" : "") }, v);
export const dim = (...c) => el("p", { class: "dim" }, ...c);
export const address = (...path) => "#/" + path.map(encodeURIComponent).join("/");

// table makes a table of its own scrolled region. On narrow screens each row is a card,
// for which cells get the head of their column.
export function table(label, heads, rows, empty) {
	if (!rows.length) return dim(empty);
	heads = heads.map((h) => (h.text === undefined ? { text: h } : h));
	for (const row of rows) {
		[...row.cells].forEach((c, i) => {
			if (c.tagName !== "TD" || !heads[i]?.text) return;
			c.setAttribute("data-head", heads[i].text);
			if (c.childNodes.length > 1) c.replaceChildren(el("div", {}, ...c.childNodes));
		});
	}
	return el("div", { id: "table-" + label, class: "scroll", role: "region", tabindex: "0", "aria-label": label }, el("table", { "aria-label": label },
		el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col", class: h.num ? "num" : null, title: h.title || null }, h.text)))),
		el("tbody", {}, rows)));
}

// facts makes a list of names and values, without those that have none.
export function facts(list) {
	return el("dl", { class: "facts" }, list.filter((f) => f && f[1] !== null && f[1] !== undefined && f[1] !== "").map(([k, v]) => el("div", {}, el("dt", {}, k), el("dd", {}, v))));
}

// tiles shows the figures that matter most.
export function tiles(list) {
	return el("dl", { class: "tiles" }, list.filter(Boolean).map((t) => el("div", { class: t.bad ? "tile bad" : "tile", title: t.title || null }, el("dt", {}, t.name), el("dd", {}, t.value, t.unit && el("small", {}, " " + t.unit)))));
}

export const section = (title, ...body) => {
	const id = "h-" + title.toLowerCase().replace(/\W+/g, "-");
	return el("section", { id: "s" + id, "aria-labelledby": id }, el("h3", { id }, title), ...body);
};

// mark is a word in a coloured frame: good, bad, warn, note or nothing.
export const mark = (text, kind, title) => el("span", { class: "mark " + (kind || ""), title: title || null }, text);

// filtersOf returns how the filters of a route are.
function filtersOf(name) {
	const plan = live.plan.routes.find((p) => p.name === name);
	const names = new Set([...(plan?.chain || []), ...(plan?.oslo?.replies || [])].flatMap((s) => s.filters));
	return live.status.filters.filter((f) => names.has(f.name));
}

// stateOf says in one or two words how a route is, and how good that is.
export function stateOf(r) {
	if (r.failure) return { text: "stopped", kind: "bad", why: r.failure };
	if (r.paused) return { text: "paused", kind: "idle", why: "" };
	if (!r.consuming) return { text: "not consuming", kind: "bad", why: "" };
	if (r.dead_letter_failures && r.held) return { text: "dead letters refused", kind: "bad", why: "" };
	const failing = filtersOf(r.name).find((f) => f.failing);
	if (failing) return { text: "filter failing", kind: "bad", why: failing.name + ": " + failing.failing };
	return { text: "running", kind: delta("routes", r.name, failures) > 0 ? "warn" : "good", why: "" };
}

export function routeMark(r) {
	const s = stateOf(r);
	return mark(s.text, s.kind, s.why);
}

// failed counts what a target was sent and the broker did not take.
export const failed = (t) => sum(t.sent) - t.sent.ok;

// toTarget returns a route's figures of the last seconds for one target.
export function toTarget(name, target) {
	const of = (count) => delta("routes", name, (r) => {
		const t = r.targets.find((x) => x.target === target);
		return t ? count(t) : 0;
	});
	return { sent: of((t) => t.sent.ok), failed: of(failed) };
}

// figuresOf returns a route's figures of the last seconds.
export function figuresOf(name) {
	return {
		received: delta("routes", name, (x) => x.received),
		sent: delta("routes", name, (x) => x.sent.ok),
		failed: delta("routes", name, failures),
		p50: quantile("routes", name, 0.5),
		p99: quantile("routes", name, 0.99),
	};
}

// inWords says a route's state and figures in a sentence, for those who do not see the
// drawing.
export function inWords(r) {
	const f = figuresOf(r.name);
	return `Route ${r.name}: ${stateOf(r).text}, ${rate(f.received)} received a second, ${rate(f.sent)} sent, ${rate(f.failed)} failures, half within ${time(f.p50)}, 99 % within ${time(f.p99)}`;
}

// path draws the line of rates in a box of that size, over the last span milliseconds.
export function line(list, width, height, span, most) {
	if (!list.length) return "";
	const end = list.at(-1).at;
	let d = "";
	let pen = "M";
	for (const { at, rate } of list) {
		if (rate === null || end - at > span) {
			pen = "M";
			continue;
		}
		d += pen + (width - ((end - at) / span) * width).toFixed(1) + " " + (height - (most ? rate / most : 0) * height).toFixed(1);
		pen = "L";
	}
	return d;
}

export const highest = (...lists) => lists.flat().reduce((most, x) => Math.max(most, x.rate || 0), 0);

// chart draws a route's last minutes: received, sent and failed by the second.
export function chart(name, minutes) {
	const series = [["received", (s) => s.received], ["sent", (s) => s.sent], ["failed", (s) => s.failed]].map(([kind, of]) => ({ kind, list: rates(name, of) }));
	const top = nice(highest(...series.map((s) => s.list)));
	const now = figuresOf(name);
	const said = `Rates of the last ${minutes} minutes, now ${rate(now.received)} received, ${rate(now.sent)} sent and ${rate(now.failed)} failures a second`;
	const scale = (...texts) => texts.map((t) => el("span", {}, t));
	return el("figure", { class: "chart" },
		el("div", { class: "plot" },
			// stretched to whatever there is room for; lines keep their width
			svg("svg", { viewBox: "0 0 600 100", preserveAspectRatio: "none", role: "img", "aria-label": said },
				[0, 50, 100].map((y) => svg("line", { class: "grid", x1: 0, x2: 600, y1: y, y2: y })),
				series.map((s) => svg("path", { class: "line " + s.kind, d: line(s.list, 600, 100, minutes * 60000, top) }))),
			el("div", { class: "y", "aria-hidden": "true" }, scale(rate(top) + "/s", rate(top / 2), "0")),
			el("div", { class: "x", "aria-hidden": "true" }, scale(...Array.from({ length: minutes }, (_, i) => i - minutes + " min"), "now"))),
		el("figcaption", {}, series.map((s) => el("span", { class: "key " + s.kind }, s.kind, " ", el("b", {}, rate(now[s.kind])), "/s"))));
}

// nice returns a round number that is not below n, for the end of an axis.
function nice(n) {
	if (n <= 0) return 1;
	const ten = 10 ** Math.floor(Math.log10(n));
	return [1, 2, 2.5, 5, 10].map((m) => m * ten).find((m) => m >= n);
}

// tally lists counts by name, without those of nothing.
export function tally(label, counts, heads, bad) {
	const rows = Object.entries(counts).filter(([, n]) => n).sort((a, b) => b[1] - a[1]).map(([k, n]) => el("tr", {}, head(k), figure(count(n), bad)));
	return table(label, heads, rows, "None so far.");
}
