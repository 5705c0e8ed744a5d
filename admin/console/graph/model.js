// The graph of a plan: queues and other ends, the routes between them, and for many
// routes groups of them.

import { matches } from "./flow.js";

// many is how many routes are drawn small, and folded into groups where their names
// have a beginning in common.
export const many = 24;
const leastGroup = 3;

// groupOf returns what a route's name begins with, "" if that says nothing.
function groupOf(name) {
	const m = /^([^._:/-]{1,40})[._:/-]./.exec(name);
	return m ? m[1] : "";
}

// groups returns the names of routes by what they begin with, where several do.
export function groups(plan) {
	const all = new Map();
	for (const r of plan.routes) {
		const g = groupOf(r.name);
		if (!all.has(g)) all.set(g, []);
		all.get(g).push(r.name);
	}
	all.delete("");
	for (const [g, names] of all) if (names.length < leastGroup) all.delete(g);
	return all;
}

// targetsOf returns where a route sends to, of all the routes in plan. A pattern that
// filters choose by stands for the queues that others listen to and that it matches.
// What filters have chosen already comes on top.
function targetsOf(route, queues, chosen) {
	const sent = new Set(route.send || []);
	const list = [...sent].map((to) => ({ to, kind: "send" }));
	for (const to of route.allow || []) {
		const like = to.includes("*") ? queues.filter((q) => q !== "queue:" + route.listen && matches(to, q)) : [];
		for (const t of like.length ? like : [to]) {
			if (sent.has(t)) continue;
			sent.add(t);
			list.push({ to: t, kind: "allow" });
		}
	}
	for (const to of chosen.get(route.name) || []) if (!sent.has(to)) list.push(to === "replies" ? { to: "replies:" + route.name, is: to, kind: "allow" } : { to, kind: "allow" });
	return list;
}

// shown returns whether a route has to do with what was searched for.
export function shown(route, words) {
	const text = [route.name, route.listen, ...(route.send || []), ...(route.allow || []), ...route.chain.flatMap((s) => s.filters)].join(" ").toLowerCase();
	return words.toLowerCase().split(/\s+/).every((w) => text.includes(w));
}

// model returns the nodes and edges for routes. A folded group is one node, and so
// are the ends that nobody but its routes has. Chosen has the targets that filters have
// chosen, by route. An edge to an end has the targets it is for.
export function model(routes, folded, chosen = new Map()) {
	const group = new Map(); // route: the folded group it is in
	for (const [g, names] of folded) for (const name of names) group.set(name, g);
	const users = new Map(); // end: who has it, by group or route
	const queues = routes.map((r) => "queue:" + r.listen);
	const targets = new Map(routes.map((r) => [r, targetsOf(r, queues, chosen)]));
	const use = (end, r) => {
		if (!users.has(end)) users.set(end, new Set());
		users.get(end).add(group.has(r.name) ? "group:" + group.get(r.name) : "route:" + r.name);
	};
	for (const r of routes) {
		use("queue:" + r.listen, r);
		for (const t of targets.get(r)) use(t.to, r);
	}
	const nodes = new Map();
	const edges = new Map();
	const node = (key, make) => {
		if (!nodes.has(key)) nodes.set(key, { key, ...make() });
		return nodes.get(key);
	};
	const end = (name, side, r) => {
		const [only] = users.get(name);
		if (users.get(name).size === 1 && only.startsWith("group:")) {
			const all = node(only + side, () => ({ kind: "end", label: "", ends: new Set() }));
			all.ends.add(name);
			all.label = all.ends.size === 1 ? name : all.ends.size + (side === "in" ? " queues" : " targets");
			return all;
		}
		return node(name, () => ({ kind: "end", label: name }));
	};
	const edge = (from, to, kind, route) => {
		const key = from.key + "\n" + to.key;
		if (!edges.has(key)) edges.set(key, { key, from, to, kind, routes: [], targets: new Set() });
		const e = edges.get(key);
		if (kind === "send") e.kind = kind;
		if (!e.routes.includes(route)) e.routes.push(route);
		return e;
	};
	for (const r of routes) {
		const g = group.get(r.name);
		const box = g ? node("group:" + g, () => ({ kind: "group", label: g, routes: [] })) : node("route:" + r.name, () => ({ kind: "route", label: r.name, route: r, routes: [] }));
		box.routes.push(r.name);
		edge(end("queue:" + r.listen, "in", r), box, "listen", r.name);
		for (const t of targets.get(r)) edge(box, end(t.to, "out", r), t.kind, r.name).targets.add(t.is || t.to);
	}
	return { nodes: [...nodes.values()], edges: [...edges.values()] };
}
