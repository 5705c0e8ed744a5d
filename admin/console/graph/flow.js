// Which edge of a graph what a route has sent to a target belongs to.

import { live } from "../live.js";
import { failed } from "../parts.js";

const most = 8; // targets of one route that filters have chosen, as nodes of their own

export const matches = (pattern, target) => new RegExp("^" + pattern.split("*").map((s) => s.replace(/[\\^$.|?+()[\]{}]/g, "\\$&")).join(".*") + "$", "s").test(target);

// deadLetters is where a route's dead letters go, which is no target of the graph.
export const deadLetters = (plan) => (plan.dead_letter.includes(":") ? "" : "queue:") + plan.dead_letter;

// chosen returns the targets that a route has sent to and its plan does not name; instead
// of more than a few, the patterns that allow them.
export function chosen(plan) {
	const named = new Set([...(plan.send || []), ...(plan.allow || []), deadLetters(plan)]);
	const list = live.status.routes.find((r) => r.name === plan.name)?.targets.filter((t) => !named.has(t.target) && t.target !== "other" && (t.sent.ok || failed(t))).map((t) => t.target) || [];
	return list.length > most ? (plan.allow || []).filter((a) => a.includes("*")) : list;
}

// edgeOf returns the edge that stands for a target among those out of a route: its own,
// or the one of a pattern that allows it, but not for its dead letters. Undefined is none.
export function edgeOf(edges, target, dead) {
	return edges.find((e) => e.targets.has(target)) || target !== dead && edges.find((e) => [...e.targets].some((t) => t.includes("*") && (target === "other" || matches(t, target))));
}
