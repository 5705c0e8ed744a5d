// The drawing of a graph, and what changes in it with every status.

import { el, svg } from "../dom.js";
import { plural, rate, time } from "../format.js";
import { delta, failures, live, memory, rates } from "../live.js";
import { address, figuresOf, highest, inWords, line, stateOf, toTarget } from "../parts.js";
import { deadLetters, edgeOf } from "./flow.js";
import { layout } from "./layout.js";

const endWidth = 210;
const routeWidth = 316;
const space = 78;
const inset = 12;
const lineHeight = 14;
const chipHeight = 24;
const spark = { width: 86, height: 22 };

const pencil = document.createElement("canvas").getContext("2d");
const fonts = { name: "600 15px system-ui, sans-serif", text: "13px system-ui, sans-serif" };

function wide(text, font) {
	pencil.font = fonts[font];
	return pencil.measureText(text).width;
}

// fit shortens a text in its middle, where names differ least.
function fit(text, width, font) {
	if (wide(text, font) <= width) return text;
	let keep = text.length;
	let short;
	do {
		keep--;
		short = text.slice(0, Math.ceil(keep / 2)) + "…" + text.slice(text.length - Math.floor(keep / 2));
	} while (keep > 2 && wide(short, font) > width);
	return short;
}

// chips gives the filters of a route their places, in as many rows as it takes.
function chips(route) {
	const list = [];
	let x = inset;
	let row = 0;
	const stages = new Map(); // of each filter
	for (const s of route.chain) for (const f of s.filters) stages.set(f, [...(stages.get(f) || []), s.stage]);
	for (const [filter, of] of stages) {
		const text = fit(filter, 130, "text");
		const width = Math.ceil(wide(text, "text")) + 18;
		if (x > inset && x + width > routeWidth - inset) {
			x = inset;
			row++;
		}
		list.push({ filter, stage: of.join(", "), text, width, x, row });
		x += width + 18;
	}
	return { list, rows: list.length ? row + 1 : 0 };
}

function size(nodes, compact) {
	for (const n of nodes) {
		n.height = 34;
		if (n.kind === "route" && !compact) {
			n.chips = chips(n.route);
			n.height = 40 + n.chips.rows * (chipHeight + 6) + 32;
		}
	}
}

const title = (text) => svg("title", {}, text);

// the middle of a node's side
const left = (n) => [n.x, n.y + n.height / 2];
const right = (n) => [n.x + n.width, n.y + n.height / 2];

function curve(e) {
	const [x1, y1] = right(e.from);
	const [x2, y2] = left(e.to);
	if (e.back) {
		const under = Math.max(e.from.y + e.from.height, e.to.y + e.to.height) + 22;
		return `M${x1} ${y1}C${x1 + 44} ${y1} ${x1 + 44} ${under} ${x1} ${under}L${x2} ${under}C${x2 - 44} ${under} ${x2 - 44} ${y2} ${x2} ${y2}`;
	}
	let d = `M${x1} ${y1}`;
	let [x, y] = [x1, y1];
	for (const [to, next] of [...e.over.map((n) => [left(n), right(n)]), [[x2, y2], null]]) {
		d += `C${x + space / 2} ${y} ${to[0] - space / 2} ${to[1]} ${to[0]} ${to[1]}`;
		if (next) d += `L${next[0]} ${next[1]}`;
		[x, y] = next || to;
	}
	return d;
}

function drawEnd(n) {
	const [kind, ...rest] = n.label.split(":");
	const name = rest.length ? rest.join(":") : n.label;
	const text = kind === "replies" ? "replies to callers" : rest.length && kind !== "queue" ? kind + " " + name : name;
	return svg("g", { class: "end", transform: `translate(${n.x} ${n.y})` }, title(n.ends ? [...n.ends].sort().join("\n") : n.label),
		svg("rect", { class: "pill", width: n.width, height: n.height, rx: n.height / 2 }),
		svg("text", { x: n.width / 2, y: n.height / 2 + 4.5, "text-anchor": "middle" }, fit(text, n.width - 26, "text")));
}

function drawChips(n) {
	return n.chips.list.map((c, i) => {
		const y = 38 + c.row * (chipHeight + 6);
		const arrow = i > 0 && svg("text", { class: "arrow", x: c.x > inset ? c.x - 15 : c.x - 11, y: y + 16 }, "›");
		return svg("g", { class: "chip", "data-filter": c.filter }, title(c.filter + ": " + c.stage),
			arrow,
			svg("rect", { x: c.x, y, width: c.width, height: chipHeight, rx: 5 }),
			svg("text", { x: c.x + c.width / 2, y: y + 16.5, "text-anchor": "middle" }, c.text));
	});
}

// drawBox draws a route or a folded group; "parts" are what changes.
function drawBox(n, compact, unfold) {
	const parts = {
		state: svg("text", { class: "state", x: n.width - inset, y: 23, "text-anchor": "end" }),
		figures: svg("text", { class: "figures", x: inset, y: n.height - 13 }),
		failed: svg("tspan", { class: "failed" }),
		line: svg("path", { class: "line received", transform: `translate(${n.width - inset - spark.width} ${n.height - 10 - spark.height})` }),
		flag: svg("rect", { class: "flag", width: 5, height: n.height - 14, x: 0, y: 7, rx: 2 }),
	};
	const small = compact || n.kind === "group";
	if (small) Object.entries({ x: n.width - inset, y: n.height / 2 + 4.5, "text-anchor": "end" }).forEach(([k, v]) => parts.figures.setAttribute(k, v));
	const name = n.kind === "group" ? "▸ " + n.label + " · " + plural(n.routes.length, "route") : n.label;
	const body = [
		title(n.label),
		svg("rect", { class: "box", width: n.width, height: n.height, rx: 8 }),
		parts.flag,
		svg("text", { class: "name", x: inset + 2, y: small ? n.height / 2 + 5 : 24 }, fit(name, n.width - (small ? 100 : 120), "name")),
		small ? null : [parts.state, drawChips(n), parts.line],
		parts.figures,
	];
	const attrs = { class: "box-of " + n.kind, transform: `translate(${n.x} ${n.y})`, tabindex: "-1", id: "node-" + n.key };
	const g = n.kind === "group"
		? svg("g", { ...attrs, role: "button", "aria-expanded": "false", on: { click: () => unfold(n.label), keydown: (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), unfold(n.label)) } }, body)
		: svg("a", { ...attrs, href: address("route", n.label) }, body);
	return { g, parts, small };
}

// Drawing is one graph on the page.
export class Drawing {
	// made draws the graph in place; unfold is called with the name of a group.
	constructor(place, graph, compact, unfold) {
		this.place = place;
		this.graph = graph;
		size(graph.nodes, compact);
		const { width, height } = layout(graph, [endWidth, routeWidth], space);
		this.edges = graph.edges.map((e) => ({ e, path: svg("path", { class: "edge " + e.kind, d: curve(e) }), label: svg("text", { class: "rate", "text-anchor": "middle" }), sent: svg("tspan", {}), failed: svg("tspan", { class: "failed" }) }));
		this.boxes = graph.nodes.filter((n) => n.kind !== "end").map((n) => ({ n, ...drawBox(n, compact, unfold) }));
		this.ends = graph.nodes.filter((n) => n.kind === "end").map((n) => ({ n, g: drawEnd(n) }));
		for (const edge of this.edges) this.#label(edge);
		this.svg = svg("svg", { class: compact ? "graph compact" : "graph", viewBox: `-4 -4 ${width + 8} ${height + 8}`, role: "group", "aria-label": "Graph of the routes; arrow keys go from one to the next", width: width + 8, height: height + 8 },
			this.edges.map((x) => x.path), this.ends.map((x) => x.g), this.boxes.map((x) => x.g), this.edges.map((x) => x.label));
		// Not the drawing itself listens: Chromium lets the Tab key stop at one that does.
		const stage = el("div", { on: { keydown: (event) => this.#key(event) } }, this.svg);
		stage.addEventListener("pointerover", (event) => this.#near(event.target.closest?.(".box-of, .end")));
		stage.addEventListener("pointerleave", () => this.#near(null));
		stage.addEventListener("focusin", (event) => this.#enter(event.target));
		stage.addEventListener("focusout", () => this.#near(null));
		place.replaceChildren(stage);
		this.boxes[0]?.g.setAttribute("tabindex", "0");
		this.#fit(width + 8, height + 8);
		this.update();
	}

	// A graph that is a little too wide is drawn smaller; one that is much too wide is scrolled.
	#fit(width, height) {
		const scale = Math.min(1, Math.max(0.72, (this.place.clientWidth - 32) / width));
		this.svg.setAttribute("width", width * scale);
		this.svg.setAttribute("height", height * scale);
	}

	// What a box receives stands where the line reaches it, what it sends on the line to
	// each target: nearer to the target, where lines that cross are apart.
	#label(edge) {
		const { e, label, sent, failed } = edge;
		const [x1, y1] = right(e.over?.at(-1) || e.from);
		const [x2, y2] = left(e.to);
		if (e.kind === "listen") return place(label, x2 - 32, (e.back ? y2 : y2 + (y1 - y2) * 0.2) - 8);
		label.setAttribute("data-edge", e.from.label + " → " + e.to.label);
		const under = Math.max(e.from.y + e.from.height, e.to.y + e.to.height) + 26;
		edge.at = e.back ? [(x1 + x2) / 2, under] : [x2 - 32, y1 + (y2 - y1) * 0.7 + 4];
		label.append(sent, failed);
	}

	// spread places the figures of what is sent, one below the other where they would lie
	// on one another.
	#spread() {
		const end = new Map(); // of the figures above, by where they stand
		for (const { sent, failed, at: [x, y] } of this.edges.filter((edge) => edge.at && (edge.sent.textContent || edge.failed.textContent)).sort((a, b) => a.at[1] - b.at[1])) {
			const top = Math.max(y, end.get(x) ?? y);
			place(sent, x, top);
			place(failed, x, top + lineHeight);
			end.set(x, top + lineHeight * (failed.textContent ? 2 : 1));
		}
	}

	// update writes what the last status says into the drawing.
	update() {
		if (!live.status) return;
		const routes = new Map(live.status.routes.map((r) => [r.name, r]));
		const filters = new Map(live.status.filters.map((f) => [f.name, f]));
		for (const box of this.boxes) box.n.kind === "group" ? this.#group(box, routes) : this.#route(box, routes.get(box.n.label), filters);
		const flows = this.#flows(routes);
		for (const { e, path, label, sent, failed } of this.edges) {
			const f = flows.get(e);
			path.classList.toggle("flowing", f.sent > 0);
			path.classList.toggle("failing", f.failed > 0);
			path.setAttribute("stroke-width", f.sent > 0 ? (1.5 + Math.min(4, Math.log10(1 + f.sent) * 0.9)).toFixed(1) : 1.5);
			text(e.kind === "listen" ? label : sent, f.sent > 0 ? rate(f.sent) + "/s" : "");
			text(failed, f.failed > 0 ? rate(f.failed) + "/s fail" : "");
		}
		this.#spread();
	}

	// flows returns what goes along each edge by the second.
	#flows(routes) {
		const flows = new Map(this.edges.map(({ e }) => [e, { sent: 0, failed: 0 }]));
		const dead = new Map(live.plan.routes.map((p) => [p.name, deadLetters(p)]));
		for (const { n } of this.boxes) {
			const out = this.graph.edges.filter((e) => e.from === n);
			const listen = this.graph.edges.filter((e) => e.to === n);
			for (const name of n.routes) {
				for (const e of listen) if (e.routes.includes(name)) flows.get(e).sent += delta("routes", name, (r) => r.received) || 0;
				for (const { target } of routes.get(name)?.targets || []) {
					const f = flows.get(edgeOf(out.filter((e) => e.routes.includes(name)), target, dead.get(name)));
					if (!f) continue;
					const now = toTarget(name, target);
					f.sent += now.sent || 0;
					f.failed += now.failed || 0;
				}
			}
		}
		return flows;
	}

	#route({ n, g, parts, small }, r, filters) {
		if (!r) return;
		const s = stateOf(r);
		const f = figuresOf(r.name);
		g.setAttribute("class", "box-of route " + s.kind);
		g.setAttribute("aria-label", inWords(r));
		if (small) {
			text(parts.figures, s.kind === "bad" || s.kind === "idle" ? s.text : rate(f.received) + "/s" + (f.failed > 0 ? ", " + rate(f.failed) + " fail" : ""));
			return;
		}
		text(parts.state, s.text);
		text(parts.figures, f.received || f.p50 !== null ? `p50 ${time(f.p50)}   p99 ${time(f.p99)}` : "nothing yet");
		text(parts.failed, f.failed > 0 ? "   " + rate(f.failed) + "/s fail" : "");
		parts.figures.append(parts.failed);
		const list = rates(r.name, (x) => x.received);
		parts.line.setAttribute("d", line(list, spark.width, spark.height, memory, highest(list)));
		for (const chip of g.querySelectorAll(".chip")) {
			const filter = filters.get(chip.dataset.filter);
			chip.setAttribute("class", "chip" + (filter?.failing ? " failing" : "") + (filter?.shadow ? " shadow" : ""));
		}
	}

	#group({ n, g, parts }, routes) {
		const all = n.routes.map((name) => routes.get(name)).filter(Boolean);
		const bad = all.filter((r) => ["bad", "idle"].includes(stateOf(r).kind)).length;
		const total = (of) => all.reduce((sum, r) => sum + (delta("routes", r.name, of) || 0), 0);
		const failed = total(failures);
		g.setAttribute("class", "box-of group " + (bad ? "bad" : failed ? "warn" : "good"));
		const figures = rate(total((r) => r.received)) + "/s" + (bad ? ", " + bad + " not running" : failed ? ", " + rate(failed) + " fail" : "");
		g.setAttribute("aria-label", "Group " + n.label + " of " + plural(n.routes.length, "route") + ", " + figures);
		text(parts.figures, figures);
	}

	// near lifts a node and what it is joined to.
	#near(g) {
		this.svg.classList.toggle("lifted", Boolean(g));
		const node = [...this.boxes, ...this.ends].find((x) => x.g === g)?.n;
		const lift = new Set(node ? [node] : []);
		for (const { e, path } of this.edges) {
			const joined = e.from === node || e.to === node;
			path.classList.toggle("lift", joined);
			if (joined) lift.add(e.from).add(e.to);
		}
		for (const { n, g: other } of [...this.boxes, ...this.ends]) other.classList.toggle("lift", lift.has(n));
	}

	#enter(target) {
		const g = target.closest(".box-of");
		for (const box of this.boxes) box.g.setAttribute("tabindex", box.g === g ? "0" : "-1");
		this.#near(g);
	}

	// key goes to the nearest box in the direction of an arrow.
	#key(event) {
		const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
		const here = this.boxes.find((b) => b.g === document.activeElement)?.n;
		if (!way || !here) return;
		event.preventDefault();
		let best = null;
		for (const { n, g } of this.boxes) {
			const dx = n.x - here.x;
			const dy = n.y - here.y;
			const along = dx * way[0] + dy * way[1];
			const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
			if (along > 0 && (!best || along + 2 * aside < best.far)) best = { g, far: along + 2 * aside };
		}
		if (!best) return;
		best.g.focus({ preventScroll: true });
		best.g.scrollIntoView({ block: "nearest", inline: "nearest" });
	}
}

function place(node, x, y) {
	node.setAttribute("x", x);
	node.setAttribute("y", y);
}

function text(node, value) {
	if (node.textContent !== value) node.textContent = value;
}

// legend says what the lines and colours mean.
export const legend = () => el("ul", { class: "legend", "aria-label": "Legend" },
	[["send", "sent to"], ["allow", "a filter may send to"]].map(([kind, words]) => el("li", {}, svg("svg", { width: 34, height: 10, "aria-hidden": "true" }, svg("path", { class: "edge " + kind, d: "M1 5H33" })), words)),
	[["good", "running"], ["warn", "running, with failures"], ["bad", "in trouble"], ["idle", "paused"]].map(([kind, words]) => el("li", {}, svg("svg", { class: "box-of " + kind, width: 8, height: 14, "aria-hidden": "true" }, svg("rect", { class: "flag", width: 5, height: 14, x: 1, rx: 2 })), words)));
