// What happened since the console was opened.

import { get, post } from "../api.js";
import { attempt } from "../dialogs.js";
import { el } from "../dom.js";
import { moment } from "../format.js";
import { live } from "../live.js";
import { cell, dim, head, mark, table } from "../parts.js";
import { inline } from "../toml.js";

const levels = ["debug", "info", "warn", "error"];
let level; // undefined: not asked yet; null: it cannot be changed here

const kinds = { error: "bad", warn: "warn", info: "note", debug: "" };

function row(e) {
	if (e.name === "reload") {
		return el("tr", {}, head(moment(e.at)), cell(mark(e.successful === false ? "reload failed" : "reload", e.successful === false ? "bad" : "good")), cell(e.error || ""), cell(""));
	}
	const severity = String(e.level || "").toLowerCase();
	const more = Object.entries(e.attrs || {});
	return el("tr", {}, head(moment(e.at)), cell(mark(severity || "log", kinds[severity])), cell(e.message || ""),
		cell(more.map(([k, v]) => el("span", { class: "pair" }, el("span", { class: "dim" }, k), " ", typeof v === "string" ? v : inline(v)))));
}

export default {
	title: () => "Log",
	async load() {
		level = (await get("log-level"))?.level ?? null;
	},
	render(_, redraw) {
		const change = (event) => {
			const want = event.target.value;
			attempt(`The router logs what is ${want} and above, until it ends or a reload brings another log.level.`, async () => {
				level = (await post("log-level", { level: want })).level;
				redraw();
			});
		};
		return [
			el("div", { class: "top" }, el("h2", {}, "Log"), dim("warnings, errors and reloads since this page was opened, the newest first")),
			level ? el("div", { class: "tools" }, el("label", { for: "level" }, "The router logs from"),
				el("select", { id: "level", on: { change } }, levels.map((l) => el("option", { value: l, selected: l === level }, l)))) : null,
			live.streaming === false ? dim("This router has no stream of events; its log is on its standard error.")
				: table("Log", ["Time", "Severity", "Message", "Details"], live.log.map(row), "Nothing so far."),
		];
	},
};
