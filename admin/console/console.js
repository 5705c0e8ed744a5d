// The console: it asks the API every two seconds while the page is seen, and draws
// what it is told. Everything from the router goes into text nodes.

const every = 2000;
const main = document.getElementById("main");
const live = { plan: null, status: null, before: null, broker: null, at: null, failure: "", token: sessionStorage.getItem("token") || "" };

// el makes an element; a child that is null or false is left out.
function el(tag, attrs, ...children) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(attrs || {})) {
		if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
	}
	node.append(...children.flat().filter((c) => c !== null && c !== false && c !== undefined));
	return node;
}

async function ask(name) {
	const headers = live.token ? { Authorization: "Bearer " + live.token } : {};
	const answer = await fetch("/api/" + name, { headers, cache: "no-store", signal: AbortSignal.timeout(5000) });
	if (answer.status === 401) throw { token: true };
	if (answer.status === 404) return null;
	if (!answer.ok) throw new Error(answer.status + " " + (await answer.text()).slice(0, 200));
	return answer.json();
}

async function refresh() {
	try {
		const status = await ask("status");
		const reloaded = !live.status || live.status.reload.at !== status.reload.at;
		if (!live.plan || reloaded) live.plan = await ask("plan");
		if (!live.status || live.broker || reloaded) live.broker = await ask("broker");
		live.before = live.status;
		live.status = status;
		live.at = new Date();
		live.failure = "";
	} catch (e) {
		if (e.token) {
			askForToken();
			return;
		}
		live.failure = "The router does not answer" + (live.at ? "; this is what it said at " + live.at.toLocaleTimeString() : "") + ".";
	}
	draw();
}

function askForToken() {
	if (document.getElementById("token")) return;
	const input = el("input", { id: "token", type: "password", autocomplete: "off", required: true });
	const form = el("form", {}, el("label", { for: "token" }, live.token ? "That is not the token. The admin token of this router:" : "The admin token of this router:"), input, el("button", {}, "Sign in"));
	form.addEventListener("submit", (event) => {
		event.preventDefault();
		live.token = input.value.trim();
		sessionStorage.setItem("token", live.token);
		main.replaceChildren(el("p", {}, "Loading."));
		refresh();
	});
	document.getElementById("state").replaceChildren();
	main.replaceChildren(form);
	input.focus();
}

// draw draws the page that the address names, and keeps the focus where it was.
function draw() {
	const focused = document.activeElement && document.activeElement.id;
	const [page, name] = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
	const status = live.status;
	const state = document.getElementById("state");
	if (!status) {
		main.replaceChildren(el("p", { class: "bad" }, live.failure));
		return;
	}
	document.getElementById("version").textContent = status.version;
	document.getElementById("broker-link").hidden = !live.broker;
	for (const a of document.querySelectorAll("nav a")) {
		const here = a.getAttribute("href") === "#/" + (page || "routes") || (page === "route" && a.getAttribute("href") === "#/routes");
		here ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
	}
	const text = live.failure || (status.ready ? "ready" : "not ready");
	if (state.textContent !== text) state.replaceChildren(el("span", { class: live.failure || !status.ready ? "bad" : "good" }, text));
	const pages = { routes, route, filters, connections, broker };
	const body = (pages[page] || routes)(status, name);
	const reasons = status.ready ? null : el("ul", { class: "reasons", "aria-label": "Why the router is not ready" }, status.reasons.map((r) => el("li", {}, r)));
	const reload = status.reload.successful ? null : el("p", { class: "bad" }, "The last reload failed; the configuration before it is in force. The log says why.");
	const left = main.querySelector(".scroll")?.scrollLeft || 0;
	main.replaceChildren(...[reload, reasons, body].flat().filter(Boolean));
	if (left && main.querySelector(".scroll")) main.querySelector(".scroll").scrollLeft = left;
	if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function table(label, heads, rows, empty) {
	if (!rows.length) return el("p", { class: "dim" }, empty);
	return el("div", { id: "table-" + label, class: "scroll", role: "region", tabindex: "0", "aria-label": label }, el("table", { "aria-label": label },
		el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col", class: h.num ? "num" : null, title: h.title || null }, h.text || h)))),
		el("tbody", {}, rows)));
}
const recent = () => el("p", { class: "dim" }, "Rates and times are of the last two seconds.");
const num = (text, title) => ({ num: true, text, title });
const cell = (...c) => el("td", {}, ...c);
const figure = (v, bad) => el("td", { class: "num" + (bad ? " bad" : "") }, v);
const count = (n) => n.toLocaleString("en");
const sum = (o) => Object.values(o).reduce((a, b) => a + b, 0);

function bytes(n) {
	const units = ["B", "KiB", "MiB", "GiB"];
	let i = 0;
	for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
	return (i && n < 100 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}

function time(s) {
	if (s === null) return "–";
	if (s < 1e-3) return Math.round(s * 1e6) + " µs";
	if (s < 1) return (s * 1e3).toPrecision(2) + " ms";
	return s.toPrecision(3) + " s";
}

// Of what changes, the console shows the last interval. After a reload a route's
// counts may begin anew; then there is no interval.
function delta(name, kind, get) {
	const now = live.status[kind].find((x) => x.name === name);
	const then = live.before?.[kind].find((x) => x.name === name);
	if (!now || !then) return null;
	const seconds = (new Date(live.status.now) - new Date(live.before.now)) / 1000;
	const d = get(now) - get(then);
	return seconds > 0 && d >= 0 ? d / seconds : null;
}
const rate = (r) => (r === null ? "–" : r < 10 ? r.toFixed(1) : count(Math.round(r)));

// quantile is the upper bound of the bucket in which it lies, of the last interval
// if anything happened in it.
function quantile(name, kind, q) {
	const now = live.status[kind].find((x) => x.name === name)?.duration;
	const then = live.before?.[kind].find((x) => x.name === name)?.duration;
	if (!now) return null;
	let counts = now.counts.map((c, i) => c - (then ? then.counts[i] : 0));
	if (counts.some((c) => c < 0) || !counts.some((c) => c > 0)) counts = now.counts;
	let left = counts.reduce((a, b) => a + b, 0) * q;
	if (!left) return null;
	for (let i = 0; i < counts.length; i++) {
		left -= counts[i];
		if (left <= 0) return now.bounds[Math.min(i, now.bounds.length - 1)];
	}
	return null;
}

function routeState(r) {
	if (r.failure) return el("span", { class: "bad" }, "stopped: " + r.failure);
	return r.consuming ? el("span", { class: "good" }, "consuming") : el("span", { class: "bad" }, "not consuming");
}

function flow(name) {
	const plan = live.plan.routes.find((p) => p.name === name);
	if (!plan) return null;
	const chip = (text, kind) => el("span", { class: "chip " + (kind || "") }, text);
	const targets = plan.send?.length ? plan.send : plan.allow || [];
	return el("ol", { class: "flow", "aria-label": "Path of a message" },
		el("li", {}, chip(plan.listen)),
		plan.chain.flatMap((s) => s.filters.map((f) => el("li", {}, el("a", { id: ["flow", name, s.stage, f].join("-"), class: "chip filter", href: "#/filters", title: s.stage, "aria-label": f + ", " + s.stage }, f)))),
		el("li", {}, targets.length ? targets.map((t) => chip(t)) : el("span", { class: "dim" }, "nowhere unless a filter decides")));
}

function routes(status) {
	const rows = status.routes.map((r) => el("tr", {},
		el("th", { scope: "row" }, el("a", { id: "route-" + r.name, href: "#/route/" + encodeURIComponent(r.name) }, r.name), el("br"), routeState(r)),
		cell(flow(r.name)),
		figure(rate(delta(r.name, "routes", (x) => x.received))),
		figure(rate(delta(r.name, "routes", (x) => x.sent.ok))),
		figure(time(quantile(r.name, "routes", 0.5))),
		figure(time(quantile(r.name, "routes", 0.99))),
		figure(count(r.inflight)), figure(count(r.held), r.held > 0), figure(count(sum(r.dead_letters)), sum(r.dead_letters) > 0)));
	return [el("h2", {}, "Routes"), recent(), table("Routes",
		["Route", "Path", num("In/s"), num("Sent/s"), num("p50", "half of the messages were settled in this time or less"), num("p99"), num("In hand", "taken and not settled"), num("Held", "waiting to be tried again"), num("Dead letters")],
		rows, "The configuration has no routes.")];
}

function facts(list) {
	return el("dl", {}, list.flatMap(([k, v]) => (v === null || v === undefined || v === "" ? [] : [el("dt", {}, k), el("dd", {}, v)])));
}

function route(status, name) {
	const r = status.routes.find((x) => x.name === name);
	const plan = live.plan.routes.find((x) => x.name === name);
	if (!r) return [el("h2", {}, name), el("p", {}, "There is no route of that name. ", el("a", { href: "#/routes" }, "All routes"))];
	const tally = (title, counts, bad) => [el("h3", {}, title), table(title, [title, num("Messages")],
		Object.entries(counts).filter(([, n]) => n).map(([k, n]) => el("tr", {}, el("th", { scope: "row" }, k), figure(count(n), bad))), "None so far.")];
	return [el("h2", {}, "Route ", r.name), el("p", {}, routeState(r)), flow(name),
		el("h3", {}, "Now"),
		facts([
			["In", rate(delta(name, "routes", (x) => x.received)) + " /s"], ["Sent", rate(delta(name, "routes", (x) => x.sent.ok)) + " /s"],
			["Received to settled", "p50 " + time(quantile(name, "routes", 0.5)) + ", p99 " + time(quantile(name, "routes", 0.99))],
			["In hand", count(r.inflight)], ["Held to be tried again", count(r.held)],
			["Received", count(r.received) + (r.redelivered ? ", of them delivered again " + count(r.redelivered) : "")],
			["Tried again", count(r.retries)], ["Failures of filters", count(r.filter_failures)],
			["Dead letters refused", r.dead_letter_failures ? count(r.dead_letter_failures) : null],
		]),
		tally("Settled as", r.settled), tally("Dead letters by reason", r.dead_letters, true),
		plan && [el("h3", {}, "Configuration"), facts([
			["Listens to", plan.listen], ["Format", plan.format], ["Order", plan.order], ["Lanes", count(plan.lanes)], ["Prefetch", count(plan.prefetch)],
			["Sends to", (plan.send || []).join(", ")], ["Allows", (plan.allow || []).join(", ")], ["On an error", plan.on_error], ["Dead letters go to", plan.dead_letter],
			["Tries", plan.retry.max_attempts + ", " + plan.retry.backoff + " to " + plan.retry.max_backoff + " apart"],
		])]].flat(2);
}

function filters(status) {
	const rows = status.filters.map((f) => {
		const plan = live.plan.filters.find((p) => p.name === f.name) || {};
		return el("tr", {},
			el("th", { scope: "row" }, f.name, f.failing ? [el("br"), el("span", { class: "bad" }, "keeps failing: " + f.failing)] : null),
			cell(plan.path || "", el("br"), el("code", { class: "dim", title: plan.sha256 || "" }, (plan.sha256 || "").slice(0, 12))),
			cell((plan.stages || []).join(", ")),
			figure(rate(delta(f.name, "filters", (x) => x.calls))), figure(time(quantile(f.name, "filters", 0.5))), figure(time(quantile(f.name, "filters", 0.99))),
			figure(count(sum(f.failures)), sum(f.failures) > 0), figure(count(f.restarts), f.restarts > 0), figure(f.instances + " + " + f.spare), figure(bytes(f.memory_bytes)));
	});
	return [el("h2", {}, "Filters"), recent(), table("Filters",
		["Filter", "Module", "Stages", num("Calls/s"), num("p50"), num("p99"), num("Failures"), num("Restarts"), num("Instances", "in use + spare"), num("Memory", "of the instances in use")],
		rows, "The configuration has no filters.")];
}

function connections(status) {
	const rows = status.connections.map((c) => el("tr", {},
		el("th", { scope: "row" }, c.purpose), cell(c.host),
		cell(c.connected ? el("span", { class: c.blocked ? "bad" : "good" }, c.blocked ? "blocked by the broker" : c.consuming ? "consuming" : "connected") : el("span", { class: "bad" }, "not connected")),
		figure(count(c.reconnects)), cell(c.last_error ? el("span", { class: "dim" }, c.last_error) : "")));
	return [el("h2", {}, "Connections"), table("Connections to the broker", ["Purpose", "Host", "State", num("Reconnects"), "Last error"], rows, "There are no connections yet.")];
}

function broker() {
	const b = live.broker;
	if (!b) return [el("h2", {}, "Broker"), el("p", {}, "This router is not its own broker; ask RabbitMQ's management page about queues.")];
	const yes = (q) => [q.durable && "durable", q.exclusive && "exclusive", q.auto_delete && "auto-delete"].filter(Boolean).join(", ");
	return [el("h2", {}, "Embedded broker"),
		el("p", {}, "Messages take " + bytes(b.memory) + " of " + bytes(b.max_memory) + ". Nothing outlives the process. ", b.blocked ? el("span", { class: "bad" }, "Publishers wait: " + b.blocked + " is short.") : null),
		el("h3", {}, "Queues"),
		table("Queues", ["Queue", "Virtual host", num("Ready"), num("Unacknowledged"), num("Size", "of the bodies of ready messages"), num("Consumers"), num("Published"), num("Delivered"), "Kind"],
			(b.queues || []).map((q) => el("tr", {}, el("th", { scope: "row" }, q.name), cell(q.vhost), figure(count(q.messages_ready)), figure(count(q.messages_unacknowledged)), figure(bytes(q.message_bytes_ready)), figure(count(q.consumers)), figure(count(q.published)), figure(count(q.delivered)), cell(yes(q)))), "There are no queues."),
		el("h3", {}, "Connections"),
		table("Connections", ["Name", "Client", "User", "Virtual host", "State", num("Channels"), num("Consumers"), num("Unacknowledged")],
			(b.connections || []).map((c) => el("tr", {}, el("th", { scope: "row" }, c.name || "–"), cell(c.client), cell(c.user), cell(c.vhost), cell(c.state), figure(count(c.channels)), figure(count(c.consumers)), figure(count(c.unacked)))), "There are none."),
		el("h3", {}, "Exchanges"),
		table("Exchanges", ["Exchange", "Virtual host", "Type", num("Bindings")],
			(b.exchanges || []).filter((x) => x.name && !x.name.startsWith("amq.")).map((x) => el("tr", {}, el("th", { scope: "row" }, x.name), cell(x.vhost), cell(x.type), figure(count(x.bindings)))), "There are none besides.")];
}

addEventListener("hashchange", () => {
	draw();
	main.focus({ preventScroll: true });
	scrollTo(0, 0);
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
await refresh();
setInterval(() => document.hidden || document.getElementById("token") || refresh(), every);
