// The router's API: the same that everybody may ask, described at /api/openapi.yaml.

const base = new URL("../api/", document.baseURI);

export const token = {
	get: () => sessionStorage.getItem("token") || "",
	set: (value) => sessionStorage.setItem("token", value),
};

// Failure is an answer that is none. Code is HTTP's, 0 if there was no answer.
export class Failure extends Error {
	constructor(code, text) {
		super(text);
		this.code = code;
	}
}

function headers(more) {
	return token.get() ? { Authorization: "Bearer " + token.get(), ...more } : more;
}

async function call(method, path, { body, signal, accept } = {}) {
	let answer;
	try {
		answer = await fetch(new URL(path, base), {
			method,
			headers: headers({ Accept: accept || "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) }),
			body: body === undefined ? undefined : JSON.stringify(body),
			cache: "no-store",
			signal,
		});
	} catch (e) {
		if (signal?.aborted && !(signal.reason instanceof DOMException && signal.reason.name === "TimeoutError")) throw e;
		throw new Failure(0, "The router does not answer.");
	}
	if (answer.ok) return answer;
	const text = await answer.text();
	let why = text;
	try {
		why = JSON.parse(text).error || text;
	} catch {
		// not JSON: the text says it
	}
	throw new Failure(answer.status, why.trim().slice(0, 500) || "The router answered " + answer.status + ".");
}

// get returns what is at a path, and null if this router has no such thing.
export async function get(path) {
	try {
		return await (await call("GET", path, { signal: AbortSignal.timeout(90000) })).json();
	} catch (e) {
		if (e.code === 404) return null;
		throw e;
	}
}

export const post = async (path, body) => (await call("POST", path, { body, signal: AbortSignal.timeout(90000) })).json();
export const remove = async (path) => (await call("DELETE", path, { signal: AbortSignal.timeout(60000) })).json();

// stream tells onEvent of each event until the stream or signal ends. EventSource
// would do but for the token, which it cannot send.
export async function stream(path, signal, onEvent) {
	const answer = await call("GET", path, { signal, accept: "text/event-stream" });
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let text = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		text += value;
		const events = text.split(/\r?\n\r?\n/);
		text = events.pop();
		for (const event of events) {
			let name = "message";
			const data = [];
			for (const line of event.split(/\r?\n/)) {
				if (line.startsWith("event:")) name = line.slice(6).trim();
				if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
			}
			if (data.length) onEvent(name, JSON.parse(data.join("\n")));
		}
	}
}

// download posts a body and hands on what is answered, piece by piece.
export async function download(path, body, onPiece) {
	const answer = await call("POST", path, { body, accept: "*/*" });
	const reader = answer.body.getReader();
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		onPiece(value);
	}
}

// part makes a name a part of a path.
export const part = encodeURIComponent;
