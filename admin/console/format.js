// Figures as people read them.

export const count = (n) => Number(n).toLocaleString("en");
export const sum = (counts) => Object.values(counts || {}).reduce((a, b) => a + b, 0);
export const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many || one + "s");

// rate says how many there are in a second; null is not known.
export function rate(r) {
	if (r === null || r === undefined) return "–";
	if (r === 0) return "0";
	return r < 10 ? r.toFixed(1) : count(Math.round(r));
}

export function bytes(n) {
	const units = ["B", "KiB", "MiB", "GiB"];
	let i = 0;
	for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
	return (i && n < 100 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}

// time says how long s seconds are; null is not known.
export function time(s) {
	if (s === null || s === undefined) return "–";
	if (s < 1e-3) return Number((s * 1e6).toPrecision(2)) + " µs";
	if (s < 1) return Number((s * 1e3).toPrecision(2)) + " ms";
	if (s < 90) return Number(s.toPrecision(3)) + " s";
	if (s < 5400) return Math.round(s / 60) + " min";
	if (s < 129600) return Math.round(s / 3600) + " h";
	return Math.round(s / 86400) + " days";
}

const zero = (at) => !at || new Date(at).getFullYear() < 1971;
export const clock = (at) => (zero(at) ? "–" : new Date(at).toLocaleTimeString("en-GB"));
export const moment = (at) => {
	if (zero(at)) return "–";
	const d = new Date(at);
	const day = d.toDateString() === new Date().toDateString() ? "" : d.toLocaleDateString("en-CA") + " ";
	return day + d.toLocaleTimeString("en-GB");
};

// wrapped gives a long name places to break at.
export const wrapped = (text) => text.replace(/([/._:-])/g, "$1\u200b");
