// Connections to the broker.

import { el } from "../dom.js";
import { count } from "../format.js";
import { live } from "../live.js";
import { cell, figure, head, mark, num, table } from "../parts.js";

function state(c) {
	if (!c.connected) return mark("not connected", "bad");
	if (c.blocked) return mark("blocked by the broker", "bad");
	return mark(c.consuming ? "consuming" : "connected", "good");
}

export default {
	title: () => "Connections",
	render() {
		const rows = live.status.connections.map((c) => el("tr", {}, head(c.purpose), cell(c.host), cell(state(c)), figure(count(c.reconnects)), cell(c.last_error ? el("span", { class: "dim" }, c.last_error) : "")));
		return [el("div", { class: "top" }, el("h2", {}, "Connections")), table("Connections to the broker", ["Purpose", "Host", "State", num("Reconnects"), "Last error"], rows, "There are no connections yet.")];
	},
};
