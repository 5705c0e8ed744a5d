// Recordings that this page makes: the router sends what becomes of messages as long as
// the page reads, and the page saves it as a file.

import { download, get, part, remove } from "./api.js";
import { open, say } from "./dialogs.js";
import { el } from "./dom.js";
import { bytes, plural } from "./format.js";
import { tell } from "./live.js";

const most = 256 << 20; // bytes that a page keeps

const own = new Map(); // route: {size, cut}
let everybody = []; // recordings in progress, as last told

export async function loadRecordings() {
	everybody = (await get("record")) || [];
}

// recordingOf returns the recording of a route that is in progress, if there is one.
export const recordingOf = (route) => everybody.find((r) => r.routes.includes(route));

export const sizeOf = (route) => own.get(route)?.size;

async function record(route, request) {
	const state = { size: 0 };
	const pieces = [];
	own.set(route, state);
	try {
		await download("record", request, (piece) => {
			pieces.push(piece);
			state.size += piece.length;
			if (state.size > most && !state.cut) {
				state.cut = true;
				stopRecording(route);
			}
			tell("change");
		});
		save(route, pieces);
		say(`The recording of ${route} was saved: ${bytes(state.size)}.` + (state.cut ? " It ended because a page keeps no more." : ""));
	} catch (e) {
		say(`Recording ${route}: ${e.message}`, true);
	} finally {
		own.delete(route);
		await loadRecordings().catch(() => {});
		tell("change");
	}
}

function save(route, pieces) {
	const at = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
	const link = el("a", { href: URL.createObjectURL(new Blob(pieces)), download: `${route}-${at}.rec` });
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// askToRecord asks how, and begins.
export function askToRecord(route) {
	const choice = (id, values) => el("select", { id }, values.map(([value, text]) => el("option", { value }, text)));
	open(`Record ${route}`, [
		el("p", {}, "What becomes of its messages is saved to a file on this computer, with bodies and headers. `router replay` runs it again."),
		el("label", { for: "how-long" }, "For"), choice("how-long", [["10s", "10 seconds"], ["1m", "1 minute"], ["10m", "10 minutes"], ["0s", "until it is stopped"]]),
		el("label", { for: "how-many" }, "Of the messages"), choice("how-many", [["1", "all"], ["0.1", "a tenth"], ["0.01", "a hundredth"]]),
	], [{
		text: "Record",
		do: () => {
			record(route, { routes: [route], sample: Number(document.getElementById("how-many").value), for: document.getElementById("how-long").value });
		},
	}]);
}

export async function stopRecording(route) {
	try {
		await remove("record/" + part(route));
	} catch (e) {
		say(e.message, true);
	}
}

export const progress = (r, route) => `${plural(r.taken, "message")}` + (sizeOf(route) === undefined ? "" : ", " + bytes(sizeOf(route))) + (r.dropped ? `, ${plural(r.dropped, "message")} left out` : "");
