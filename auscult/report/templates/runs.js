const data = JSON.parse(document.getElementById("data").textContent);
const hidden = new Set(), PARTS = 6;
const boxes = [...document.querySelectorAll("[data-curve]")];
const logarithmic = document.getElementById("log");
const FRAME = { left: 54, top: 8, height: 236, foot: 42 };

function legible(value) {
  if (value === null) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return minus(size >= 1e-4 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2));
}

// Scales. Small and large numbers are shown in units of a power of ten.

function tenPower(limits) {
  const power = Math.floor(Math.log10(Math.max(...limits.map(Math.abs)) || 1));
  return power < -2 || power > 5 ? 3 * Math.floor(power / 3) : 0;
}

function superscript(power) { return minus(String(power)).replace(/[−\d]/g, (c) => (c === "−" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])); }

function quantile(sorted, share) { return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]; }

// Faint lines may leave the chart at their rarest extremes; firm lines and intervals may not.
function valueLimits(curve, lines) {
  const firm = [], faint = [];
  for (const line of lines) {
    if (line.rows) firm.push(...line.rows.flatMap((row) => row.slice(1, 4)));
    if (line.line) firm.push(...line.line[1]);
    if (line.faint) faint.push(...line.faint[1]);
    if ("limit" in line) firm.push(line.limit);
  }
  const real = faint.filter((value) => value !== null).sort((a, b) => a - b);
  const inner = real.length ? [quantile(real, 0.02), quantile(real, 0.98)] : [];
  return [...firm.filter((value) => value !== null), ...inner];
}

function verticalScale(curve, lines, bottom) {
  const values = curve.kind === "shares" ? [0, 100] : valueLimits(curve, lines);
  const positive = values.length > 0 && values.every((value) => value > 0);
  const log = positive && (curve.scale === "log" || (curve.scale === "choice" && logarithmic.checked));
  if (!log) {
    const limits = curve.kind === "shares" ? values : extent(values, 0.05), power = tenPower(limits);
    if (limits[0] < 0 && positive) limits[0] = 0;
    return { log, limits, power, at: linear(...limits, bottom, FRAME.top) };
  }
  const limits = extent(values.map(Math.log10), 0.04), inner = linear(...limits, bottom, FRAME.top);
  return { log, limits, power: 0, at: (value) => inner(Math.log10(Math.max(value, 1e-300))) };
}

function drawValueAxis(chart, scale, right) {
  if (!scale.log) {
    const unit = 10 ** scale.power, limits = scale.limits.map((value) => value / unit);
    verticalAxis(chart, (value) => scale.at(value * unit), limits, FRAME.left, right);
    if (scale.power) chart.root.append(svg("text", { class: "soft", x: 0, y: chart.height - 8 }, `unit: 10${superscript(scale.power)}`));
    return;
  }
  const wide = scale.limits[1] - scale.limits[0], steps = wide > 3 ? [1] : wide > 1.2 ? [1, 3] : [1, 1.5, 2, 3, 4, 5, 7];
  for (let power = Math.floor(scale.limits[0]); power <= scale.limits[1]; power += 1) {
    for (const step of steps) {
      const value = step * 10 ** power, log = Math.log10(value), y = scale.at(value);
      if (log < scale.limits[0] || log > scale.limits[1]) continue;
      chart.root.append(svg("line", { class: "grid", x1: FRAME.left, x2: right, y1: y, y2: y }));
      chart.root.append(svg("text", { class: "axis", x: FRAME.left - 6, y: y + 4, "text-anchor": "end" }, legible(value)));
    }
  }
}

// Lines with gaps

function pieces(points) {
  const found = [[]];
  for (const point of points) { if (point[1] === null) found.push([]); else found.at(-1).push(point); }
  return found.filter((piece) => piece.length);
}

function brokenPath([steps, values], x, y) {
  const points = steps.map((step, i) => [step, values[i]]);
  return pieces(points).map((piece) => path(piece.length > 1 ? piece.map(([a, b]) => [x(a), y(b)])
    : [[x(piece[0][0]) - 1.5, y(piece[0][1])], [x(piece[0][0]) + 1.5, y(piece[0][1])]])).join("");
}

function inside(chart, number, right, bottom) {
  const cut = svg("clipPath", { id: `cut${number}` });
  cut.append(svg("rect", { x: FRAME.left, y: FRAME.top - 3, width: right - FRAME.left, height: bottom - FRAME.top + 3 }));
  chart.root.append(cut);
  return `url(#cut${number})`;
}

function groupOf(run) { return svg("g", { class: `hue${data.runs[run].hue} dash${data.runs[run].dash}` }); }

function pointWords(run, step, words) {
  return `${data.runs.length > 1 ? `${data.runs[run].name}\n` : ""}step ${step}: ${words}`;
}

function addPoint(chart, x, y, text) { chart.points.push({ x, y, text }); }

function drawLine(chart, line, x, y, cut, bottom) {
  const group = groupOf(line.run), [steps, values] = line.line;
  if (line.faint) group.append(svg("path", { class: "faint", "clip-path": cut, d: brokenPath(line.faint, x, y.at) }));
  group.append(svg("path", { class: "line", d: brokenPath(line.line, x, y.at) }));
  if ("limit" in line) {
    const at = y.at(line.limit);
    group.append(svg("line", { class: "limit", x1: FRAME.left, x2: chart.width - 6, y1: at, y2: at }));
    group.append(svg("text", { class: "soft", x: chart.width - 8, y: at - 4, "text-anchor": "end" }, `clip limit ${legible(line.limit)}`));
  }
  steps.forEach((step, i) => {
    if (values[i] !== null) addPoint(chart, x(step), y.at(values[i]), pointWords(line.run, step, legible(values[i])));
    else group.append(svg("line", { class: "gap", x1: x(step), x2: x(step), y1: bottom - 6, y2: bottom }));
  });
  chart.root.append(group);
}

function drawValidation(chart, line, x, y) {
  const group = groupOf(line.run), { rows, digits } = line, style = `system${data.runs[line.run].hue}`;
  const known = rows.filter((row) => row[2] !== null);
  if (known.length > 1) {
    const edge = [...known.map((row) => [x(row[0]), y.at(row[3])]), ...known.reverse().map((row) => [x(row[0]), y.at(row[2])])];
    group.append(svg("path", { class: "band", d: `${path(edge)}Z` }));
  }
  group.append(svg("path", { class: "line", d: brokenPath([rows.map((row) => row[0]), rows.map((row) => row[1])], x, y.at) }));
  for (const [step, mean, low, high, count, best] of rows) {
    if (mean === null) continue;
    const at = [x(step), y.at(mean)], around = low === null ? "" : ` [${minus(low.toFixed(digits))}, ${minus(high.toFixed(digits))}]`;
    if (rows.length <= 60 || best) group.append(mark("mean", ...at, style));
    if (best) group.append(svg("circle", { class: "best", cx: at[0], cy: at[1], r: 8 }));
    addPoint(chart, ...at, pointWords(line.run, step, `${minus(mean.toFixed(digits))}${around}\n${count} items${best ? ", the best validation" : ""}`));
  }
  chart.root.append(group);
}

function drawShares(chart, line, x, y) {
  let below = line.steps.map(() => 0);
  line.parts.forEach((part, k) => {
    const shares = line.values[k], above = below.map((value, i) => (shares[i] === null ? null : value + shares[i]));
    const group = svg("g", { class: `hue${k % PARTS}` });
    for (const piece of pieces(line.steps.map((step, i) => [i, above[i], step]))) {
      const top = piece.map(([, value, step]) => [x(step), y.at(value)]);
      const foot = piece.map(([i, , step]) => [x(step), y.at(below[i])]).reverse();
      group.append(svg("path", { class: "part", d: `${path([...top, ...foot])}Z` }));
    }
    chart.root.append(group);
    line.steps.forEach((step, i) => {
      if (above[i] !== null) addPoint(chart, x(step), y.at(below[i] + shares[i] / 2), `step ${step}\n${part}: ${legible(Number(shares[i].toPrecision(3)))} %`);
    });
    below = above.map((value, i) => value ?? below[i]);
  });
}

// Where further healthy runs of the recipe lie; it may leave the chart, whose limits are those of the lines.
function drawHealthy(chart, band, x, y, cut) {
  const above = band.steps.map((step, i) => [x(step), y.at(band.high[i])]);
  const below = band.steps.map((step, i) => [x(step), y.at(band.low[i])]).reverse();
  chart.root.append(svg("path", { class: "healthy", "clip-path": cut, d: `${path([...above, ...below])}Z` }));
}

function drawCurve(box) {
  const number = box.dataset.curve, curve = data.curves[number];
  const lines = curve.lines.filter((line) => !hidden.has(line.run));
  box.closest("figure").hidden = curve.kind === "shares" && !lines.length;
  if (!lines.length) { box.replaceChildren("Nothing chosen."); return; }
  const chart = canvas(box, FRAME.height, `${curve.title} against steps`), bottom = FRAME.height - FRAME.foot, right = chart.width - 6;
  const last = Math.max(...data.runs.filter((_, run) => !hidden.has(run)).map((run) => run.last));
  const x = linear(0, last, FRAME.left, right), y = verticalScale(curve, lines, bottom);
  drawValueAxis(chart, y, right);
  horizontalAxis(chart, x, [0, last], FRAME.top, bottom, "steps");
  const cut = inside(chart, number, right, bottom);
  if (curve.band) drawHealthy(chart, curve.band, x, y, cut);
  for (const line of lines) {
    if (curve.kind === "shares") drawShares(chart, line, x, y);
    else if (curve.kind === "validation") drawValidation(chart, line, x, y);
    else drawLine(chart, line, x, y, cut, bottom);
  }
  hover(box, chart);
}

function drawAll() { boxes.forEach(drawCurve); }

// Tables of items

function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells], head = heads[column], up = head.getAttribute("aria-sort") !== "ascending";
  const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
  const numeric = "sort" in table.tBodies[0].rows[0].cells[column].dataset;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    if (one === "" || other === "") return (one === "") - (other === "");  // what is missing comes last either way
    return (up ? 1 : -1) * (numeric ? one - other : one.localeCompare(other, undefined, { numeric: true }));
  });
  heads.forEach((cell) => cell.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll(".items")) {
  [...table.tHead.rows[0].cells].forEach((cell, k) => cell.firstElementChild.addEventListener("click", () => sortBy(table, k)));
}

// Players of a card: one at a time, at one position

function joinPlayers(card) {
  const players = [...card.querySelectorAll("audio")];
  let latest = null;
  for (const player of players) {
    player.addEventListener("seeked", () => { latest = player; });
    player.addEventListener("play", () => {
      for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
      if (latest && latest !== player && !latest.ended) player.currentTime = latest.currentTime;
      latest = player;
    });
  }
}

document.querySelectorAll(".card").forEach(joinPlayers);
for (const button of document.querySelectorAll("[data-run]")) {
  button.addEventListener("click", () => {
    const run = Number(button.dataset.run);
    if (!hidden.delete(run)) hidden.add(run);
    button.setAttribute("aria-pressed", String(!hidden.has(run)));
    drawAll();
  });
}
logarithmic.addEventListener("change", drawAll);
drawAll();
let drawnWidth = boxes[0].clientWidth;
new ResizeObserver(() => {
  const width = boxes[0].clientWidth;
  if (width !== drawnWidth) { drawnWidth = width; drawAll(); }
}).observe(boxes[0]);
document.documentElement.dataset.ready = String(Math.round(performance.now()));
