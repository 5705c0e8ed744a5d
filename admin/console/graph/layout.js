// Where the nodes of a graph go: in layers from left to right, as few lines crossing as
// a few sweeps can do, each part that hangs together beneath the one before.

const gap = 14; // between nodes of a layer
const between = 26; // between parts
const sweeps = 6;

// layout gives every node its layer, x and y, and every edge "back" if it leads to the
// left. Nodes come with their height; widths are those of the layers, by kind: ends
// are in even ones, routes in odd ones. It returns the size of the whole.
export function layout({ nodes, edges }, widths, space) {
	for (const n of nodes) Object.assign(n, { ins: [], outs: [], layer: 0, seen: 0 });
	for (const e of edges) {
		e.back = false;
		e.from.outs.push(e);
		e.to.ins.push(e);
	}
	layers(nodes);
	const all = [...nodes, ...edges.flatMap(bends)];
	const depth = nodes.reduce((d, n) => Math.max(d, n.layer), 0);
	const x = [0];
	for (let l = 0; l <= depth; l++) x.push(x[l] + widths[l % 2] + space);
	let top = 0;
	for (const part of parts(all)) {
		const columns = Array.from({ length: depth + 1 }, () => []);
		for (const n of part) columns[n.layer].push(n);
		order(columns);
		const height = place(columns);
		for (const n of part) {
			n.x = x[n.layer];
			n.width = widths[n.layer % 2];
			n.y += top;
		}
		if (part.some((n) => n.outs.some((e) => e.back))) top += 20; // for the line beneath
		top += height + between;
	}
	return { width: x.at(-1) - space, height: Math.max(0, top - between) };
}

// layers gives each node the layer after the last of those before it. Edges that close
// a circle lead back.
function layers(nodes) {
	const done = [];
	const visit = (root) => {
		const stack = [[root, 0]];
		root.seen = 1;
		while (stack.length) {
			const top = stack.at(-1);
			const [n, i] = top;
			if (i === n.outs.length) {
				n.seen = 2;
				done.push(n);
				stack.pop();
				continue;
			}
			top[1]++;
			const e = n.outs[i];
			if (e.to.seen === 1) e.back = true;
			else if (e.to.seen === 0) {
				e.to.seen = 1;
				stack.push([e.to, 0]);
			}
		}
	};
	for (const n of nodes) if (!n.seen && n.kind === "end" && !n.ins.length) visit(n);
	for (const n of nodes) if (!n.seen && n.kind === "end") visit(n);
	for (const n of nodes) if (!n.seen) visit(n);
	for (const n of done.reverse()) for (const e of n.outs) if (!e.back) e.to.layer = Math.max(e.to.layer, n.layer + 1);
}

// bends puts a place to pass in each layer that an edge leads over, so that it goes
// round what is there. They become the edge's "over".
function bends(e) {
	e.over = [];
	if (e.back) return [];
	let from = e.from;
	for (let layer = e.from.layer + 1; layer < e.to.layer; layer++) {
		const n = { kind: "bend", layer, height: 4, ins: [], outs: [] };
		join(from, n, e);
		e.over.push(n);
		from = n;
	}
	if (e.over.length) join(from, e.to, e);
	return e.over;
}

// join lets a piece of e lead from one node to the next in its stead.
function join(from, to, e) {
	const piece = { from, to, back: false };
	if (from.kind === "bend") from.outs.push(piece);
	else from.outs[from.outs.indexOf(e)] = piece;
	if (to.kind === "bend") to.ins.push(piece);
	else to.ins[to.ins.indexOf(e)] = piece;
}

// parts returns what hangs together, each in the order of the nodes.
function parts(nodes) {
	const all = [];
	const into = new Map();
	for (const start of nodes) {
		if (into.has(start)) continue;
		const stack = [start];
		into.set(start, all.length);
		while (stack.length) {
			const n = stack.pop();
			for (const m of [...n.ins.map((e) => e.from), ...n.outs.map((e) => e.to)]) {
				if (into.has(m)) continue;
				into.set(m, all.length);
				stack.push(m);
			}
		}
		all.push([]);
	}
	for (const n of nodes) all[into.get(n)].push(n);
	return all;
}

// order sorts each layer by the places of the neighbours, forth and back.
function order(columns) {
	const number = () => columns.forEach((c) => c.forEach((n, i) => (n.place = i / c.length)));
	const by = (ends) => (n) => {
		const places = ends(n).map((m) => m.place);
		n.want = places.length ? places.reduce((a, b) => a + b, 0) / places.length : n.place;
	};
	number();
	for (let s = 0; s < sweeps; s++) {
		const forth = s % 2 === 0;
		const ends = forth ? (n) => n.ins.map((e) => e.from) : (n) => n.outs.map((e) => e.to);
		for (const column of forth ? columns : columns.toReversed()) {
			column.forEach(by(ends));
			column.sort((a, b) => a.want - b.want || a.place - b.place);
			column.forEach((n, i) => (n.place = i / column.length));
		}
	}
}

// place gives each node its y: what it takes to stand one beneath the other, then as
// near to the middle of its neighbours as the others let it. It returns the height.
function place(columns) {
	let height = 0;
	for (const column of columns) {
		let y = 0;
		for (const n of column) {
			n.y = y;
			y += n.height + gap;
		}
		height = Math.max(height, y - gap);
	}
	const middle = (n) => n.y + n.height / 2;
	for (let s = 0; s < sweeps; s++) {
		for (const column of s % 2 ? columns.toReversed() : columns) {
			for (const n of column) {
				const near = [...n.ins.filter((e) => !e.back).map((e) => e.from), ...n.outs.filter((e) => !e.back).map((e) => e.to)];
				n.want = near.length ? near.reduce((sum, m) => sum + middle(m), 0) / near.length - n.height / 2 : n.y;
			}
			settle(column);
		}
	}
	let least = Infinity;
	for (const column of columns) for (const n of column) least = Math.min(least, n.y);
	let most = 0;
	for (const column of columns) {
		for (const n of column) {
			n.y -= least;
			most = Math.max(most, n.y + n.height);
		}
	}
	return most;
}

// settle puts the nodes of a layer where they want to be; those that would stand on
// each other share the shift, as blocks.
function settle(column) {
	const blocks = [];
	for (const n of column) {
		let block = { nodes: [n], height: n.height, wants: n.want };
		while (blocks.length) {
			const above = blocks.at(-1);
			const y = above.wants / above.nodes.length;
			if (y + above.height + gap <= block.wants / block.nodes.length) break;
			blocks.pop();
			// What is beneath wants the block to be where its own first node is wanted.
			block = { nodes: [...above.nodes, ...block.nodes], height: above.height + gap + block.height, wants: above.wants + block.wants - block.nodes.length * (above.height + gap) };
		}
		blocks.push(block);
	}
	for (const b of blocks) {
		let y = b.wants / b.nodes.length;
		for (const n of b.nodes) {
			n.y = y;
			y += n.height + gap;
		}
	}
}
