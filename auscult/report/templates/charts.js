"use strict";
// Charts as SVG. Colours come from the style classes of systems, so light and dark follow the page.

const MARKS = {
  noisy: "M-1.6,-4.6H1.6V4.6H-1.6Z", system0: "M-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0Z", system1: "M-3.2,-3.2H3.2V3.2H-3.2Z",
  system2: "M0,-4.4L4.4,0L0,4.4L-4.4,0Z", system3: "M0,-4.2L4,3.2H-4Z", system4: "M0,4.2L4,-3.2H-4Z",
  system5: "M-4,-1.2H-1.2V-4H1.2V-1.2H4V1.2H1.2V4H-1.2V1.2H-4Z",
};

function svg(tag, attributes = {}, text = null) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  return node;
}

function linear(from, to, start, end) {
  const slope = from === to ? 0 : (end - start) / (to - from);
  return (value) => start + (value - from) * slope;
}

function extent(values, pad = 0.04) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  const margin = (high - low || Math.abs(high) || 1) * pad;
  return [low - margin, high + margin];
}

function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
  return found.map((value) => ({ value, text: minus((Math.abs(value) < step * 1e-6 ? 0 : value).toFixed(digits)) }));
}

function minus(text) { return text.replace("-", "\u2212"); }

function canvas(box, height, words) {
  const width = Math.max(240, box.clientWidth);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
  box.replaceChildren(root);
  return { root, width, height, points: [] };
}

function horizontalAxis(chart, scale, limits, top, bottom, title) {
  for (const tick of ticks(...limits, chart.width / 90)) {
    const x = scale(tick.value);
    chart.root.append(svg("line", { class: "grid", x1: x, x2: x, y1: top, y2: bottom }));
    chart.root.append(svg("text", { class: "axis", x, y: bottom + 16, "text-anchor": "middle" }, tick.text));
  }
  chart.root.append(svg("text", { class: "soft", x: chart.width, y: bottom + 34, "text-anchor": "end" }, title));
}

function verticalAxis(chart, scale, limits, left, right) {
  for (const tick of ticks(...limits, 5)) {
    const y = scale(tick.value);
    chart.root.append(svg("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }));
    chart.root.append(svg("text", { class: "axis", x: left - 6, y: y + 4, "text-anchor": "end" }, tick.text));
  }
}

function mark(kind, x, y, style, size = 1) {
  return svg("path", { class: kind, d: MARKS[style], transform: `translate(${x.toFixed(1)},${y.toFixed(1)}) scale(${size})` });
}

function density(values, limits, steps) {
  const sorted = Float64Array.from(values).sort();
  const mean = sorted.reduce((sum, v) => sum + v, 0) / sorted.length;
  const sd = Math.sqrt(sorted.reduce((sum, v) => sum + (v - mean) ** 2, 0) / sorted.length);
  const quartiles = sorted[Math.floor(0.75 * (sorted.length - 1))] - sorted[Math.floor(0.25 * (sorted.length - 1))];
  const width = 0.9 * Math.min(sd, quartiles / 1.34 || sd) * sorted.length ** -0.2 || (limits[1] - limits[0]) / 50;
  return Array.from({ length: steps + 1 }, (_, i) => {
    const at = limits[0] + ((limits[1] - limits[0]) * i) / steps;
    let sum = 0;
    for (const value of sorted) { const z = (at - value) / width; if (z > -4 && z < 4) sum += Math.exp(-0.5 * z * z); }
    return [at, sum / (width * sorted.length)];
  });
}

function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
}

// One row a system: density above, every item below, means with intervals (one a data set) between.
function drawDistribution(box, rows, title) {
  const filled = rows.filter((row) => row.points.length);
  if (!filled.length) { box.replaceChildren("No scores."); return; }
  const rowHeight = 90 + 10 * Math.max(...filled.map((row) => row.means.length)), chart = canvas(box, filled.length * rowHeight + 44, `Distribution of ${title}`);
  const limits = extent(filled.flatMap((row) => row.points.map((point) => point.value)));
  const scale = linear(...limits, 4, chart.width - 4);
  horizontalAxis(chart, scale, limits, 4, filled.length * rowHeight, title);
  const curves = filled.map((row) => density(row.points.map((point) => point.value), limits, 120));
  const peak = Math.max(...curves.flat().map((point) => point[1]));
  filled.forEach((row, i) => distributionRow(chart, row, curves[i], peak, scale, i * rowHeight));
  hover(box, chart);
}

function distributionRow(chart, row, curve, peak, scale, top) {
  const group = svg("g", { class: row.style }), base = top + 66, height = linear(0, peak, base, top + 22);
  const line = curve.map(([value, share]) => [scale(value), height(share)]);
  group.append(svg("path", { class: "area", d: `${path(line)}L${line.at(-1)[0]},${base}L${line[0][0]},${base}Z` }));
  group.append(svg("path", { class: "edge", d: path(line) }));
  const below = base + 1 + 10 * Math.max(1, row.means.length);
  row.points.forEach((point, i) => {
    const x = scale(point.value), y = below + ((i * 7) % 19);
    group.append(svg("circle", { class: "dot", cx: x.toFixed(1), cy: y, r: row.points.length > 200 ? 1.6 : 2.4 }));
    chart.points.push({ x, y, text: point.text });
  });
  row.means.forEach((mean, i) => interval(chart, group, { ...mean, style: row.style }, scale, base + 10 * i, 1.5));
  group.append(svg("text", { class: "label", x: 4, y: top + 16 }, row.name));
  chart.root.append(group);
}

// An interval that leaves the chart ends in an arrow.
function interval(chart, group, row, scale, y, size, limits = [-Infinity, Infinity]) {
  const [, mean, low, high] = row.interval;
  if (mean === null) return;
  if (low !== null) {
    const x1 = scale(Math.max(low, limits[0])), x2 = scale(Math.min(high, limits[1]));
    group.append(svg("line", { class: "bar", x1, x2, y1: y, y2: y }));
    if (low < limits[0]) group.append(svg("path", { class: "bar open", d: `M${x1 + 5},${y - 4}L${x1},${y}L${x1 + 5},${y + 4}` }));
    if (high > limits[1]) group.append(svg("path", { class: "bar open", d: `M${x2 - 5},${y - 4}L${x2},${y}L${x2 - 5},${y + 4}` }));
  }
  group.append(mark("mean", scale(mean), y, row.style, size));
  chart.points.push({ x: scale(mean), y, text: row.words });
}

// One band a group, one mark a system; the axis spans the scores, which intervals of few items may leave.
function drawGroups(box, bands, scores, title) {
  const ends = bands.flatMap((band) => band.rows).flatMap((row) => row.interval.slice(1)).filter((v) => v !== null);
  const [least, most] = extent(scores, 0), inside = ends.map((v) => Math.min(most, Math.max(least, v)));
  if (!ends.length) { box.replaceChildren("No groups."); return; }
  const step = 13, heights = bands.map((band) => band.rows.length * step + 12);
  const total = heights.reduce((sum, h) => sum + h, 0), chart = canvas(box, total + 48, `${title} by group`);
  const left = Math.min(chart.width * 0.4, 12 + 7.2 * Math.max(...bands.map((b) => Math.max(b.name.length, 7))));
  const limits = extent(inside), scale = linear(...limits, left + 8, chart.width - 8);
  horizontalAxis(chart, scale, limits, 0, total, title);
  let top = 0;
  bands.forEach((band, i) => { groupBand(chart, band, scale, limits, top, heights[i], step, left); top += heights[i]; });
  hover(box, chart);
}

function groupBand(chart, band, scale, limits, top, height, step, left) {
  const middle = top + height / 2, label = svg("text", { x: 0, y: middle });
  label.append(svg("tspan", {}, clip(band.name, Math.floor(left / 7))));
  label.append(svg("tspan", { class: "soft", x: 0, dy: 13 }, `n ${band.items}`));
  chart.root.append(label, svg("line", { class: "grid", x1: 0, x2: chart.width, y1: top + height, y2: top + height }));
  band.rows.forEach((row, i) => {
    const group = svg("g", { class: row.style });
    interval(chart, group, row, scale, top + 6 + step * (i + 0.5), 1.15, limits);
    chart.root.append(group);
  });
}

function clip(text, most) { return text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text; }

// Improvement over noisy against a fact, with means of equally many items.
function drawGain(box, rows, titles) {
  const all = rows.flatMap((row) => row.points);
  if (!all.length) { box.replaceChildren("No items with both."); return; }
  const chart = canvas(box, 340, `${titles.y} against ${titles.x}`), left = 46, bottom = 290;
  const xs = extent(all.map((p) => p.x)), ys = extent([0, ...all.map((p) => p.y)]);
  const x = linear(...xs, left, chart.width - 6), y = linear(...ys, bottom, 22);
  verticalAxis(chart, y, ys, left, chart.width - 6);
  horizontalAxis(chart, x, xs, 22, bottom, titles.x);
  chart.root.append(svg("line", { class: "zero", x1: left, x2: chart.width - 6, y1: y(0), y2: y(0) }));
  chart.root.append(svg("text", { class: "soft", x: 0, y: 11 }, titles.y));
  for (const row of rows) gainRow(chart, row, x, y);
  hover(box, chart);
}

function gainRow(chart, row, x, y) {
  const group = svg("g", { class: row.style });
  for (const point of row.points) {
    group.append(mark("dot", x(point.x), y(point.y), row.style, row.points.length > 200 ? 0.6 : 0.9));
    chart.points.push({ x: x(point.x), y: y(point.y), text: point.text });
  }
  group.append(svg("path", { class: "trend", d: path(trend(row.points).map(([a, b]) => [x(a), y(b)])) }));
  chart.root.append(group);
}

function trend(points) {
  const sorted = [...points].sort((a, b) => a.x - b.x), count = Math.max(1, Math.min(10, Math.floor(sorted.length / 8)));
  const mean = (part, key) => part.reduce((sum, p) => sum + p[key], 0) / part.length;
  return Array.from({ length: count }, (_, i) => {
    const part = sorted.slice(Math.floor((i * sorted.length) / count), Math.floor(((i + 1) * sorted.length) / count));
    return [mean(part, "x"), mean(part, "y")];
  });
}

// The nearest point says what it is.
function hover(box, chart) {
  const tip = document.getElementById("tip"), ring = svg("circle", { class: "near", r: 6, visibility: "hidden" });
  chart.root.append(ring);
  const leave = () => { tip.hidden = true; ring.setAttribute("visibility", "hidden"); };
  chart.root.addEventListener("pointerleave", leave);
  const move = (event) => {
    const frame = chart.root.getBoundingClientRect();
    const point = nearest(chart.points, event.clientX - frame.left, event.clientY - frame.top, 22);
    if (!point) { leave(); return; }
    tip.textContent = point.text;
    tip.hidden = false;
    ring.setAttribute("visibility", "visible");
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
    const x = frame.left + point.x, room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(x + 12, room))}px`;
    tip.style.top = `${Math.max(8, frame.top + point.y - tip.offsetHeight - 12)}px`;
  };
  chart.root.addEventListener("pointermove", move);
  chart.root.addEventListener("pointerdown", move);
}

function nearest(points, x, y, reach) {
  let found = null, least = reach * reach;
  for (const point of points) {
    const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (distance < least) { least = distance; found = point; }
  }
  return found;
}
