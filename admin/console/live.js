// What the console knows of the router. It listens to the router's events, or asks for
// its status where there are none, while the page is seen, and not otherwise.

import { Failure, get, stream } from "./api.js";

// Rates and times are of the last span milliseconds; sparklines of the last memory.
export const span = 5000;
export const memory = 5 * 60 * 1000;
const interval = 2000; // between two questions where there are no events
const patience = 8000; // without an event before the stream counts as cut

export const live = {
	status: null, // now
	before: null, // a span ago
	plan: null,
	at: null, // when status came, by this machine's clock
	lost: null, // since when the router does not answer
	denied: false, // it asks for a token
	history: new Map(), // route: its samples of the last minutes
	streaming: null, // whether the router has a stream of events
	log: [], // events, the newest first
};

const recent = [];
const watchers = new Set();

// watch calls f with the name and the data of whatever comes: "change" for anything that
// the page shows, and the router's events by their own names. It returns how to stop.
export function watch(f) {
	watchers.add(f);
	return () => watchers.delete(f);
}

export const tell = (name, data) => watchers.forEach((f) => f(name, data));

function note(status) {
	live.status = status;
	live.at = Date.now();
	live.lost = null;
	live.denied = false;
	const now = Date.parse(status.now);
	if (recent.length && Date.parse(recent.at(-1).started) !== Date.parse(status.started)) recent.length = 0;
	recent.push(status);
	while (recent.length > 2 && now - Date.parse(recent[1].now) >= span) recent.shift();
	live.before = recent.length > 1 ? recent[0] : null;
	for (const r of status.routes) {
		let samples = live.history.get(r.name);
		if (!samples) live.history.set(r.name, (samples = []));
		samples.push({ at: now, received: r.received, sent: r.sent.ok, failed: failures(r) });
		while (samples.length > 1 && now - samples[0].at > memory) samples.shift();
	}
	for (const name of live.history.keys()) if (!status.routes.some((r) => r.name === name)) live.history.delete(name);
}

// failures counts what did not go as it should have: tries that filters failed,
// publishes that the broker did not take, and dead letters.
export function failures(r) {
	let n = r.filter_failures;
	for (const [result, sent] of Object.entries(r.sent)) if (result !== "ok") n += sent;
	for (const dead of Object.values(r.dead_letters)) n += dead;
	return n;
}

async function take(status) {
	const reloaded = !live.plan || live.status?.reload.at !== status.reload.at || live.status?.started !== status.started;
	if (reloaded) live.plan = await get("plan");
	note(status);
	tell("change");
}

function event(name, data) {
	if (name === "status") return take(data).catch(fail);
	if (name === "log" || name === "reload") {
		live.log.unshift({ name, ...data });
		live.log.length = Math.min(live.log.length, 200);
	}
	tell(name, data);
	tell("change");
}

function fail(e) {
	live.denied = e.code === 401;
	if (!live.denied) live.lost ||= Date.now();
	live.why = e instanceof Failure && e.code ? e.message : "";
	tell("change");
}

let attention = null; // ends what goes on while the page is seen

async function attend(signal) {
	let events = true;
	while (!signal.aborted) {
		try {
			if (events) events = live.streaming = await listen(signal);
			if (!events) await take(await get("status"));
		} catch (e) {
			if (signal.aborted) return;
			fail(e);
			if (live.denied) return; // until there is a token
		}
		await pause(live.lost || !events ? interval : 200, signal);
	}
}

// listen follows the events until they end, and returns false if there are none here.
async function listen(signal) {
	const own = new AbortController();
	const cut = () => own.abort(new Failure(0, ""));
	signal.addEventListener("abort", cut);
	let timer = setTimeout(cut, patience);
	try {
		await stream("events?kinds=status,log,reload", own.signal, (name, data) => {
			clearTimeout(timer);
			timer = setTimeout(cut, patience);
			event(name, data);
		});
		throw new Failure(0, "");
	} catch (e) {
		if (e.code === 404) return false;
		throw e;
	} finally {
		clearTimeout(timer);
		signal.removeEventListener("abort", cut);
	}
}

const pause = (ms, signal) =>
	new Promise((done) => {
		const timer = setTimeout(done, ms);
		signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
	});

// begin looks after the router from now on, while the page is seen. It may be called
// again, with another token.
export function begin() {
	attention?.abort();
	attention = null;
	if (document.hidden) return;
	attention = new AbortController();
	attend(attention.signal);
}

document.addEventListener("visibilitychange", begin);

// Figures over the span.

const find = (status, kind, name) => status?.[kind].find((x) => x.name === name);

// delta returns how fast a count of a route or filter grows by the second, null if that
// is not known: after a reload its counts may begin anew.
export function delta(kind, name, of) {
	const now = find(live.status, kind, name);
	const then = find(live.before, kind, name);
	if (!now || !then) return null;
	const seconds = (Date.parse(live.status.now) - Date.parse(live.before.now)) / 1000;
	const d = of(now) - of(then);
	return seconds > 0 && d >= 0 ? d / seconds : null;
}

// quantile returns the upper bound of the bucket in which it lies, in seconds, of the
// span if anything happened in it, and null if nothing ever has.
export function quantile(kind, name, q) {
	const now = find(live.status, kind, name)?.duration;
	const then = find(live.before, kind, name)?.duration;
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

// rates returns the rate of a count between each two samples of a route, as
// [{at, rate}], with a rate of null where there is no telling.
export function rates(name, of) {
	const samples = live.history.get(name) || [];
	const list = [];
	for (let i = 1; i < samples.length; i++) {
		const seconds = (samples[i].at - samples[i - 1].at) / 1000;
		const d = of(samples[i]) - of(samples[i - 1]);
		list.push({ at: samples[i].at, rate: d < 0 || seconds <= 0 || seconds > 10 ? null : d / seconds });
	}
	return list;
}
