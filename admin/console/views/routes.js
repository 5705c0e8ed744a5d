// Home: the routes as a graph and as a table.

import { el } from "../dom.js";
import { count, plural, rate, sum, time } from "../format.js";
import { Drawing, legend } from "../graph/draw.js";
import { chosen } from "../graph/flow.js";
import { groups, many, model, shown } from "../graph/model.js";
import { live } from "../live.js";
import { address, cell, dim, figure, figuresOf, head, num, routeMark, stateOf, table } from "../parts.js";

const narrow = matchMedia("(max-width: 700px)");
const view = {
	as: sessionStorage.getItem("routes-as"), // graph or table
	words: "",
	only: "", // "", trouble or paused
	unfolded: new Set(), // groups
	opened: "", // the group that was just unfolded
	drawing: null,
	drawn: "", // what the drawing was made of
};

const as = () => view.as || (narrow.matches ? "table" : "graph");

function pick(how, redraw) {
	view.as = how;
	sessionStorage.setItem("routes-as", how);
	redraw();
}

function matches(r, plan) {
	const s = stateOf(r);
	if (view.only === "paused" && !r.paused) return false;
	if (view.only === "trouble" && s.kind !== "bad" && s.kind !== "warn") return false;
	return shown(plan, view.words);
}

export function flow(plan) {
	if (!plan) return null;
	const chip = (text, kind) => el("span", { class: "chip " + (kind || "") }, text);
	const targets = plan.send?.length ? plan.send : plan.allow || [];
	return el("ol", { class: "flow", "aria-label": "Path of a message" },
		el("li", {}, chip(plan.listen)),
		plan.chain.flatMap((s) => s.filters.map((f) => el("li", {}, el("a", { id: ["flow", plan.name, s.stage, f].join("-"), class: "chip filter", href: address("filter", f), title: s.stage, "aria-label": f + ", " + s.stage }, f)))),
		el("li", {}, targets.length ? targets.map((t) => chip(t)) : el("span", { class: "dim" }, "nowhere unless a filter decides")));
}

function rows(list, plans) {
	return list.map((r) => {
		const f = figuresOf(r.name);
		return el("tr", { id: "row-" + r.name },
			head(el("a", { id: "route-" + r.name, href: address("route", r.name) }, r.name), " ", routeMark(r), r.failure ? el("p", { class: "bad" }, r.failure) : null),
			cell(flow(plans.get(r.name))),
			figure(rate(f.received)), figure(rate(f.sent)), figure(rate(f.failed), f.failed > 0), figure(time(f.p50)), figure(time(f.p99)),
			figure(count(r.inflight)), figure(count(r.held), r.held > 0), figure(count(sum(r.dead_letters)), sum(r.dead_letters) > 0));
	});
}

function tools(list, redraw) {
	const choice = (how, text) => el("button", { id: "as-" + how, type: "button", "aria-pressed": String(as() === how), on: { click: () => pick(how, redraw) } }, text);
	const folds = [...groups(live.plan).keys()];
	const open = folds.filter((g) => view.unfolded.has(g));
	return el("div", { class: "tools", role: "search", "aria-label": "Routes" },
		el("label", { class: "hidden", for: "words" }, "Search"),
		el("input", { id: "words", type: "search", placeholder: "Search routes, queues, filters", autocomplete: "off", spellcheck: "false", on: { input: (e) => ((view.words = e.target.value), redraw()) } }),
		el("label", { class: "hidden", for: "only" }, "Show"),
		el("select", { id: "only", on: { change: (e) => ((view.only = e.target.value), redraw()) } },
			[["", "All"], ["trouble", "In trouble"], ["paused", "Paused"]].map(([value, text]) => el("option", { value }, text))),
		el("span", { class: "switch", role: "group", "aria-label": "Show as" }, choice("graph", "Graph"), choice("table", "Table")),
		as() === "graph" && list.length > many && open.length ? el("button", { id: "fold", type: "button", on: { click: () => (view.unfolded.clear(), redraw()) } }, "Fold groups") : null,
		as() === "graph" && list.length > many && folds.length > open.length && !view.words && !view.only ? el("button", { id: "unfold", type: "button", on: { click: () => (folds.forEach((g) => view.unfolded.add(g)), redraw()) } }, "Unfold all") : null);
}

function folded(list) {
	if (list.length <= many || view.words || view.only) return new Map();
	const all = groups(live.plan);
	for (const g of view.unfolded) all.delete(g);
	return all;
}

narrow.addEventListener("change", () => view.redraw?.());

export default {
	title: () => "Routes",
	leave: () => (view.drawing = null),
	render(_, redraw) {
		const plans = new Map(live.plan.routes.map((p) => [p.name, p]));
		const list = live.status.routes.filter((r) => plans.has(r.name) && matches(r, plans.get(r.name)));
		view.list = list;
		view.plans = plans;
		view.redraw = redraw;
		const all = live.status.routes.length;
		const body = !all ? dim("The configuration has no routes.") : !list.length ? dim("No route of " + count(all) + " is like that.") : as() === "table"
			? table("Routes", ["Route", "Path", num("In/s"), num("Sent/s"), num("Failures/s"), num("p50", "half of the messages were settled in this time or less"), num("p99"), num("In hand", "taken and not settled"), num("Held", "waiting to be tried again"), num("Dead letters")], rows(list, plans))
			: [el("div", { id: "graph", class: "scroll canvas", "data-keep": true }), legend()];
		return [
			el("div", { class: "top" }, el("h2", {}, "Routes"), el("p", { class: "dim" }, list.length < all ? `${count(list.length)} of ${plural(all, "route")}` : plural(all, "route"), " · figures of the last five seconds")),
			all ? tools(list, redraw) : null, body,
		];
	},
	// after the page is drawn: the graph, anew only if it is another one
	after() {
		const place = document.getElementById("graph");
		if (!place) {
			view.drawing = null;
			return;
		}
		const compact = view.list.length > many;
		const plans = view.list.map((r) => view.plans.get(r.name));
		const found = compact ? [] : plans.map((p) => [p.name, chosen(p)]);
		const made = JSON.stringify([live.status.reload.at, live.status.started, view.list.map((r) => r.name), [...view.unfolded], found]);
		if (view.drawing?.place === place && made === view.drawn) return view.drawing.update();
		const focused = document.activeElement?.closest?.("#graph") ? document.activeElement.id : null;
		view.drawn = made;
		view.drawing = new Drawing(place, model(plans, folded(view.list), new Map(found)), compact, (group) => {
			view.unfolded.add(group);
			view.opened = group;
			view.redraw();
		});
		if (view.opened) view.drawing.boxes.find((b) => b.n.kind === "route" && b.n.label.startsWith(view.opened))?.g.focus();
		else if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
		view.opened = "";
	},
};
