// The router's own broker, if it has one.

import { get } from "../api.js";
import { el } from "../dom.js";
import { bytes, count } from "../format.js";
import { live } from "../live.js";
import { cell, figure, head, num, section, table } from "../parts.js";

let broker; // as last told

const kind = (q) => [q.durable && "durable", q.exclusive && "exclusive", q.auto_delete && "auto-delete"].filter(Boolean).join(", ");

export default {
	title: () => "Broker",
	every: 2000,
	async load() {
		if (!live.status?.embedded) return;
		broker = await get("broker");
	},
	render() {
		if (live.status.embedded && !broker) return [el("h2", {}, "Broker"), el("p", {}, "Loading.")];
		if (!live.status.embedded) return [el("h2", {}, "Broker"), el("p", {}, "This router is not its own broker; ask RabbitMQ's management page about queues.")];
		return [
			el("div", { class: "top" }, el("h2", {}, "Embedded broker")),
			el("p", {}, "Messages take " + bytes(broker.memory) + " of " + bytes(broker.max_memory) + ". Nothing outlives the process. ", broker.blocked ? el("span", { class: "bad" }, "Publishers wait: " + broker.blocked + " is short.") : null),
			section("Queues", table("Queues", ["Queue", "Virtual host", num("Ready"), num("Unacknowledged"), num("Size", "of the bodies of ready messages"), num("Consumers"), num("Published"), num("Delivered"), "Kind"],
				(broker.queues || []).map((q) => el("tr", {}, head(q.name), cell(q.vhost), figure(count(q.messages_ready)), figure(count(q.messages_unacknowledged)), figure(bytes(q.message_bytes_ready)), figure(count(q.consumers)), figure(count(q.published)), figure(count(q.delivered)), cell(kind(q)))), "There are no queues.")),
			section("Connections", table("Connections", ["Name", "Client", "User", "Virtual host", "State", num("Channels"), num("Consumers"), num("Unacknowledged")],
				(broker.connections || []).map((c) => el("tr", {}, head(c.name || "–"), cell(c.client), cell(c.user), cell(c.vhost), cell(c.state), figure(count(c.channels)), figure(count(c.consumers)), figure(count(c.unacked)))), "There are none.")),
			section("Exchanges", table("Exchanges", ["Exchange", "Virtual host", "Type", num("Bindings")],
				(broker.exchanges || []).filter((x) => x.name && !x.name.startsWith("amq.")).map((x) => el("tr", {}, head(x.name), cell(x.vhost), cell(x.type), figure(count(x.bindings)))), "There are none besides.")),
		];
	},
};
