// The configuration in force.

import { get, post } from "../api.js";
import { confirm } from "../dialogs.js";
import { el } from "../dom.js";
import { moment } from "../format.js";
import { live } from "../live.js";
import { dim, facts } from "../parts.js";
import { sections } from "../toml.js";

let config; // undefined: not asked yet; null: this router does not tell
let of = ""; // the reload that it is of
let words = "";

const reload = () => confirm("Reload the configuration?", "The router reads its file again. A file with any mistake changes nothing; routes that did not change keep running.", {
	text: "Reload",
	do: async () => {
		await post("reload");
		return "The configuration was reloaded.";
	},
});

export default {
	title: () => "Configuration",
	every: 3000,
	async load() {
		const now = live.status?.reload.at || "";
		if (config !== undefined && now === of) return;
		config = await get("config");
		of = now;
	},
	render(_, redraw) {
		const top = el("div", { class: "top" }, el("h2", {}, "Configuration"),
			el("p", { class: "buttons" }, el("button", { id: "reload", type: "button", on: { click: reload } }, "Reload…")));
		const when = facts([["In force since", moment(live.status.reload.at)], ["Last reload", live.status.reload.successful ? "successful" : "failed; the log says why"]]);
		if (config === undefined) return [top, when, el("p", {}, "Loading.")];
		if (config === null) return [top, when, el("p", {}, "This router does not tell its configuration.")];
		const shown = sections(config).filter((s) => (s.name + "\n" + s.lines.join("\n")).toLowerCase().includes(words.toLowerCase()));
		return [top, when,
			dim("All keys with their values, defaults included. Secrets are not shown."),
			el("div", { class: "tools", role: "search", "aria-label": "Configuration" }, el("label", { class: "hidden", for: "words" }, "Search"),
				el("input", { id: "words", type: "search", placeholder: "Search keys and values", autocomplete: "off", spellcheck: "false", on: { input: (e) => ((words = e.target.value), redraw()) } })),
			shown.length ? el("div", { class: "toml" }, shown.map((s) => el("section", { id: "toml-" + s.name, "aria-label": s.name || "top" },
				s.name ? el("h3", {}, "[" + s.name + "]") : null,
				el("pre", {}, s.lines.map((l) => el("span", { class: l.toLowerCase().includes(words.toLowerCase()) && words ? "found" : null }, l + "\n")))))) : dim("Nothing of it says that."),
		];
	},
	leave: () => (words = ""),
};
