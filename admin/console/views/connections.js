// Connections to the broker.

import { el } from "../dom.js";
import { count, time } from "../format.js";
import { live } from "../live.js";
import { address, cell, figure, head, mark, num, section, table } from "../parts.js";

function state(c) {
	if (!c.connected) return mark("not connected", "bad");
	if (c.blocked) return mark("blocked by the broker", "bad");
	return mark(c.consuming ? "consuming" : "connected", "good");
}

export default {
	title: () => "Connections",
	render() {
		const rows = live.status.connections.map((c) => el("tr", {}, head(c.purpose), cell(c.host), cell(state(c)), figure(count(c.reconnects)), cell(c.last_error ? el("span", { class: "dim" }, c.last_error) : "")));
		const pools = (live.status.pools || []).map((p) => el("tr", {}, head(p.name), figure(count(p.lent)), figure(count(p.idle)), figure(count(p.max)), figure(count(p.waiting), p.waiting > 0),
			figure(count(p.acquires)), figure(count(p.waits)), figure(time(p.waits ? p.wait_time / p.waits : 0)), figure(count(p.failures), p.failures > 0)));
		const calls = live.status.routes.filter((r) => r.calls).map((r) => el("tr", {}, head(el("a", { id: "calls-" + r.name, href: address("route", r.name) }, r.name)), figure(count(r.calls.pending)),
			...["answered", "timeout", "busy", "stopped"].map((k) => figure(count(r.calls.results[k] || 0), k !== "answered" && r.calls.results[k] > 0)), figure(count(r.calls.late))));
		return [el("div", { class: "top" }, el("h2", {}, "Connections")), table("Connections to the broker", ["Purpose", "Host", "State", num("Reconnects"), "Last error"], rows, "There are no connections yet."),
			section("Pools", table("Pools", ["Pool", num("In use"), num("Idle"), num("Most"), num("In line", "who waits for one now"), num("Lent", "since the router began"), num("Waits", "of those, how many had to wait"), num("Mean wait"), num("Failures", "to make one")], pools, "This router does not tell of its pools.")),
			section("Calls in the name of routes", table("Calls", ["Route", num("Pending", "waiting for their reply"), num("Answered"), num("Timed out"), num("Refused as too many"), num("Stopped"), num("Late replies", "that nobody waited for")], calls, "No route makes calls in its own name (mode = \"proxy\")."))];
	},
};
