// Returns the texts that are seen on the page whose contrast with what is behind them
// is less than 4.5 to 1, as WCAG 2.2 has it (1.4.3).
(() => {
	const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	// rgba of any colour that CSS knows
	const known = new Map();
	const rgba = (css) => {
		if (!known.has(css)) known.set(css, painted(css));
		return known.get(css);
	};
	const painted = (css) => {
		pen.clearRect(0, 0, 1, 1);
		pen.fillStyle = css;
		pen.fillRect(0, 0, 1, 1);
		const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
		return [r, g, b, a / 255];
	};
	const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
	const luminance = (c) => {
		const [r, g, b] = c.map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const ratio = (a, b) => {
		const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x);
		return (hi + 0.05) / (lo + 0.05);
	};
	const behind = (e) => {
		const layers = [];
		for (let n = e; n; n = n.parentElement) {
			const style = getComputedStyle(n);
			if (n instanceof SVGElement) {
				// the last shape before it in its group is what it stands on
				let shape = null;
				for (let s = n.previousElementSibling; s && !shape; s = s.previousElementSibling) if (s.matches("rect:not(.flag)")) shape = s;
				if (shape) layers.push(rgba(getComputedStyle(shape).fill));
			} else layers.push(rgba(style.backgroundColor));
			if (layers.at(-1)?.[3] === 1) break;
		}
		return layers.reverse().reduce((below, top) => over(top, below), rgba("canvas"));
	};
	const poor = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let text = walk.nextNode(); text; text = walk.nextNode()) {
		const e = text.parentElement;
		if (!text.data.trim() || e.closest("title, script, noscript, option") || !e.checkVisibility({ visibilityProperty: true })) continue;
		const style = getComputedStyle(e);
		const ground = behind(e);
		const ink = over(rgba(e instanceof SVGElement ? style.fill : style.color), ground);
		const r = ratio(ink, ground);
		if (r < 4.5) poor.add(`${r.toFixed(2)}: ${text.data.trim().slice(0, 60)} (${e.tagName} ${e.getAttribute("class") || ""})`);
	}
	for (const e of document.querySelectorAll("input[placeholder]")) {
		const r = ratio(rgba(getComputedStyle(e, "::placeholder").color), behind(e));
		if (r < 4.5) poor.add(`${r.toFixed(2)}: placeholder ${e.placeholder}`);
	}
	return [...poor];
})();
