// The configuration as it is written in its file.

const bare = /^[A-Za-z0-9_-]+$/;
const key = (k) => (bare.test(k) ? k : JSON.stringify(k));
const isTable = (v) => v !== null && typeof v === "object" && !Array.isArray(v);

// inline writes a value on one line.
export function inline(v) {
	if (Array.isArray(v)) return v.length ? "[" + v.map(inline).join(", ") + "]" : "[]";
	if (isTable(v)) return "{ " + Object.entries(v).filter(([, x]) => x !== null).map(([k, x]) => key(k) + " = " + inline(x)).join(", ") + " }";
	return JSON.stringify(v);
}

// sections returns the tables of a configuration as {name, lines}. Tables in tables,
// such as a filter's limits, are sections of their own.
export function sections(table, path = []) {
	const own = [];
	const below = [];
	for (const [k, v] of Object.entries(table)) {
		if (v === null) continue;
		if (isTable(v)) below.push(...sections(v, [...path, k]));
		else own.push(key(k) + " = " + inline(v));
	}
	const here = own.length || (path.length > 1 && !below.length) ? [{ name: path.map(key).join("."), lines: own }] : [];
	return [...here, ...below];
}
