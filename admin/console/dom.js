// Building and updating what is on the page. Whatever comes from the router gets into
// text nodes and attributes, never into markup.

const svgNames = "http://www.w3.org/2000/svg";

function fill(node, attrs, children) {
	for (const [name, value] of Object.entries(attrs || {})) {
		if (name === "on") node.on = value;
		else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
	}
	node.append(...children.flat(4).filter((c) => c !== null && c !== false && c !== undefined));
	return node;
}

// el makes an element. The attribute "on" is an object of event handlers; children that
// are null or false are left out.
export const el = (tag, attrs, ...children) => fill(document.createElement(tag), attrs, children);

// svg makes an element of a drawing.
export const svg = (tag, attrs, ...children) => fill(document.createElementNS(svgNames, tag), attrs, children);

// Handlers belong to elements by their property "on", so that morph can hand them on.
// Those of what is around an element are called after its own.
for (const type of ["click", "submit", "input", "change", "keydown"]) {
	document.addEventListener(type, (event) => {
		for (let node = event.target; node; node = node.parentNode) {
			node.on?.[type]?.(event);
		}
	});
}

// What the reader of the page has changed stays as it is: values, and what is open.
const theirs = new Set(["open", "value", "checked"]);

// morph makes the children of node the same as those of next, and keeps the nodes that
// are there: the focus, a selection and scrolled regions stay. Elements with an id are
// found again by it. What has the attribute data-keep is left to who made it.
export function morph(node, next) {
	const known = new Map();
	for (const child of node.childNodes) if (child.id) known.set(child.id, child);
	let at = node.firstChild;
	for (const want of [...next.childNodes]) {
		let have = want.id ? known.get(want.id) : at && !at.id ? at : null;
		if (have && have.nodeName !== want.nodeName) have = null;
		if (!have) {
			node.insertBefore(want, at);
			continue;
		}
		if (have === at) at = at.nextSibling;
		else node.insertBefore(have, at);
		same(have, want);
	}
	while (at) {
		const gone = at;
		at = at.nextSibling;
		gone.remove();
	}
}

function same(have, want) {
	if (have.nodeType !== Node.ELEMENT_NODE) {
		if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
		return;
	}
	have.on = want.on;
	if (have.hasAttribute("data-keep")) return;
	for (const { name } of [...have.attributes]) if (!want.hasAttribute(name) && !theirs.has(name)) have.removeAttribute(name);
	for (const { name, value } of want.attributes) if (have.getAttribute(name) !== value && !theirs.has(name)) have.setAttribute(name, value);
	morph(have, want);
}
