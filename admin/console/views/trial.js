// The trial of a filter's new version, on the filter's page.

import { part, post } from "../api.js";
import { confirm } from "../dialogs.js";
import { el } from "../dom.js";
import { bytes, count, moment, plural } from "../format.js";
import { cell, dim, facts, head, mark, section, table, tally } from "../parts.js";

const states = ["shadow", "canary", "promoted"];
const words = { shadow: "sees copies", canary: "decides a share", promoted: "decides all", "rolled-back": "is out of use" };

export const trialMark = (trial) => trial && mark(trial.state, { "rolled-back": "bad", promoted: "good" }[trial.state] || "note", "its new version " + words[trial.state]);

function act(name, what, title, text, done) {
	return () => confirm(title, text, {
		text: what === "promote" ? "Promote" : "Roll back",
		kind: what === "promote" ? undefined : "danger",
		do: async () => {
			await post(`filters/${part(name)}/${what}`);
			return done;
		},
	});
}

function steps(trial, plan) {
	const path = states.filter((s) => s !== "canary" || plan.share > 0);
	return el("ol", { class: "steps", "aria-label": "State of the new version" }, path.map((s) => el("li", { "aria-current": s === trial.state ? "step" : null },
		el("b", {}, s), " ", s === "canary" ? `decides ${plan.share} %` : words[s])));
}

function progress(trial, plan) {
	if (!plan.promote_after || trial.state === "promoted" || trial.state === "rolled-back") return null;
	const done = Math.min(trial.compared, plan.promote_after);
	return el("p", {}, el("progress", { "aria-label": "Messages compared before the next step", max: plan.promote_after, value: done }), ` ${count(done)} of ${plural(plan.promote_after, "message")} compared before the next step, at most ${plural(plan.max_differences, "difference")}`);
}

function difference(d) {
	return el("tr", {}, head(moment(d.at), d.message_id ? el("p", { class: "dim" }, d.message_id) : null), cell(d.queue), cell(d.stage),
		cell(el("ul", { class: "diff" }, d.parts.map((p) => el("li", {}, el("b", {}, p.what), " ", el("del", {}, p.old || "nothing"), " → ", el("ins", {}, p.new || "nothing"))))),
		cell(d.body ? el("pre", {}, d.body) : ""));
}

// trialSection shows the trial as the status has it, and the differences as they were
// last asked for.
export function trialSection(name, trial, plan, report) {
	if (!trial || !plan) return section("New version", dim("No new version is on trial. [filters.", name, ".shadow] in the configuration tries one beside this on the same messages, without effect."));
	const next = trial.state === "rolled-back" ? "shadow" : trial.state === "shadow" && plan.share > 0 ? "canary" : "promoted";
	const meaning = { shadow: "It sees copies of the messages again, without effect.", canary: `It will decide ${plan.share} % of the messages.`, promoted: "It will decide every message from the next one on. No message is lost or doubled." }[next];
	return section("New version",
		el("div", { class: "top" }, steps(trial, plan), el("p", { class: "buttons" },
			el("button", { id: "promote", type: "button", disabled: trial.state === "promoted", on: { click: act(name, "promote", `Take ${name} on to ${next}?`, meaning, `The new version of ${name} is ${next}.`) } }, "Promote…"),
			el("button", { id: "rollback", type: "button", disabled: trial.state === "rolled-back", on: { click: act(name, "rollback", `Roll ${name} back?`, "The version in use decides the next message, and the new one is given none.", `The new version of ${name} is out of use.`) } }, "Roll back…"))),
		trial.state === "rolled-back" ? el("p", {}, mark("rolled back", "bad"), " ", trial.reason) : trial.reason ? el("p", {}, trial.reason) : null,
		trial.advice ? dim("To do: " + trial.advice + ".") : null,
		progress(trial, plan),
		el("div", { class: "columns" },
			facts([
				["Module", plan.path], ["SHA-256", el("code", {}, trial.sha256)], ["Size", bytes(plan.bytes)], ["In this state since", moment(trial.since)],
				["Messages compared", count(trial.compared)], ["Treated differently", el("span", { class: trial.differences ? "bad" : "good" }, count(trial.differences))],
				["Decided by it", count(trial.served)], ["Calls that failed", el("span", { class: trial.failures ? "bad" : null }, count(trial.failures))],
				["Calls slower than " + plan.max_latency, plan.max_latency === "0s" ? null : count(trial.slow)], ["Not compared, for want of room or time", trial.shed ? count(trial.shed) : null],
			]),
			el("div", {}, tally("Differences by what differs", trial.kinds, ["What differs", { text: "Messages", num: true }]))),
		report?.differences.length ? [el("h4", {}, "The last differences"), table("The last differences", ["Time and message", "Queue", "Stage", "Old → new", "Body"], report.differences.slice(0, 12).map(difference), "")] : null);
}
