// A filter's page.

import { confirm } from "../dialogs.js";
import { el } from "../dom.js";
import { bytes, count, rate, sum, time } from "../format.js";
import { delta, live, quantile } from "../live.js";
import { address, dim, facts, section, tally, tiles } from "../parts.js";
import { get, part, post } from "../api.js";
import { filterMark, planOf } from "./filters.js";
import { trialSection } from "./trial.js";

let report = null; // of the new version, with the last differences

// burned is how much fuel a call takes on average, in the last seconds if there were any.
function burned(name) {
	const now = live.status.filters.find((f) => f.name === name)?.fuel;
	const then = live.before?.filters.find((f) => f.name === name)?.fuel;
	if (!now?.calls) return null;
	const calls = now.calls - (then?.calls || 0);
	return calls > 0 ? (now.sum - (then?.sum || 0)) / calls : now.sum / now.calls;
}

const amount = (n) => (n === null ? "–" : n >= 1e6 ? (n / 1e6).toPrecision(3) + " M" : n >= 1e4 ? (n / 1e3).toPrecision(3) + " k" : count(Math.round(n)));
const share = (n, of) => (of ? ", " + Number(((100 * n) / of).toPrecision(2)) + " % of the limit" : "");

const reload = (name) => confirm(`Reload ${name}?`, "The router reads the filter's module again. One that it cannot use changes nothing; no message is lost or doubled.", {
	text: "Reload",
	do: async () => {
		await post(`filters/${part(name)}/reload`);
		return `Filter ${name} was reloaded.`;
	},
});

export default {
	title: (name) => "Filter " + name,
	under: "filters",
	every: 2000,
	async load(name) {
		report = planOf(name).shadow ? await get(`filters/${part(name)}/shadow`) : null;
	},
	leave: () => (report = null),
	render(name) {
		const f = live.status.filters.find((x) => x.name === name);
		if (!f) return [el("h2", {}, name), el("p", {}, "There is no filter of that name. ", el("a", { href: "#/filters" }, "All filters"))];
		const plan = planOf(name);
		const failed = sum(f.failures);
		const routes = live.plan.routes.filter((r) => [...r.chain, ...(r.oslo?.replies || [])].some((s) => s.filters.includes(name)));
		const limits = Object.entries(plan.limits);
		return [
			el("div", { class: "top" }, el("h2", {}, el("span", { class: "kind" }, "Filter "), name, " ", filterMark(f)),
				el("p", { class: "buttons" }, el("button", { id: "reload", type: "button", on: { click: () => reload(name) } }, "Reload…"))),
			f.failing ? el("p", { class: "bad" }, "It keeps failing: " + f.failing) : null,
			tiles([
				{ name: "Calls", value: rate(delta("filters", name, (x) => x.calls)), unit: "/s" },
				{ name: "p50", value: time(quantile("filters", name, 0.5)), title: "half of the calls took this time or less" },
				{ name: "p99", value: time(quantile("filters", name, 0.99)) },
				{ name: "Failures", value: count(failed), bad: failed > 0 },
				{ name: "Restarts", value: count(f.restarts), bad: f.restarts > 0 },
				{ name: "Instances", value: f.instances + " + " + f.spare, title: "in use + spare" },
				f.fuel ? { name: "Fuel", value: amount(burned(name)), unit: "a call", title: "on average; at most " + count(f.fuel.most) + " so far, of " + count(plan.limits.fuel || 0) } : null,
				{ name: "Memory", value: bytes(f.memory_bytes), title: "of the instances in use" },
			]),
			trialSection(name, f.shadow, plan.shadow, report),
			section("Module", facts([
				["Path", plan.path], ["SHA-256", el("code", {}, plan.sha256)], ["Size", plan.bytes ? bytes(plan.bytes) : null], ["Stages", (plan.stages || []).join(", ")],
				["Reads", plan.needs], ["May use", plan.grants.join(", ") || "nothing of the router"],
				["In the routes", routes.length ? routes.map((r, i) => [i ? ", " : "", el("a", { id: "in-" + r.name, href: address("route", r.name) }, r.name)]) : "none"],
			])),
			el("div", { class: "columns" },
				el("div", {},
					section("Failures", tally("Failures", f.failures, ["Class", { text: "Calls", num: true }], true)),
					section("What it uses", facts([["Fuel of a call, on average", f.fuel?.calls ? count(Math.round(burned(name))) : "–"], ["Most fuel of one call", f.fuel?.calls ? count(f.fuel.most) + share(f.fuel.most, plan.limits.fuel) : "–"], ["Memory of the instances in use", bytes(f.memory_bytes)]]))),
				section("Limits", facts(limits.map(([k, v]) => [k.replaceAll("_", " "), el("span", { class: plan.limits_changed.includes(k) ? "changed" : null }, typeof v === "number" ? count(v) : v)])), dim("Bold ones are not the default."))),
		];
	},
};
