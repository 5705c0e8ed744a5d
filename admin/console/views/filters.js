// All filters.

import { el } from "../dom.js";
import { bytes, count, rate, sum, time } from "../format.js";
import { delta, live, quantile } from "../live.js";
import { trialMark } from "./trial.js";
import { address, cell, dim, figure, head, mark, num, table } from "../parts.js";

export const planOf = (name) => live.plan?.filters.find((p) => p.name === name) || { stages: [], sha256: "", path: "", grants: [], limits: {}, limits_changed: [] };

export const filterMark = (f) => [f.failing ? mark("failing", "bad", f.failing) : null, " ", trialMark(f.shadow)];

export default {
	title: () => "Filters",
	render() {
		const rows = live.status.filters.map((f) => {
			const plan = planOf(f.name);
			return el("tr", {},
				head(el("a", { id: "filter-" + f.name, href: address("filter", f.name) }, f.name), " ", filterMark(f)),
				cell(plan.path, el("br"), el("code", { class: "dim", title: plan.sha256 }, plan.sha256.slice(0, 12))),
				cell((plan.stages || []).join(", ")),
				figure(rate(delta("filters", f.name, (x) => x.calls))), figure(time(quantile("filters", f.name, 0.5))), figure(time(quantile("filters", f.name, 0.99))),
				figure(count(sum(f.failures)), sum(f.failures) > 0), figure(count(f.restarts), f.restarts > 0), figure(f.instances + " + " + f.spare), figure(f.fuel?.calls ? count(f.fuel.most) : "–"), figure(bytes(f.memory_bytes)));
		});
		return [
			el("div", { class: "top" }, el("h2", {}, "Filters"), dim("figures of the last five seconds")),
			table("Filters", ["Filter", "Module", "Stages", num("Calls/s"), num("p50"), num("p99"), num("Failures"), num("Restarts"), num("Instances", "in use + spare"), num("Fuel", "the most of one call"), num("Memory", "of the instances in use")], rows, "The configuration has no filters."),
		];
	},
};
