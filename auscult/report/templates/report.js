const data = JSON.parse(document.getElementById("data").textContent);
const state = { metric: data.main, set: null, hidden: new Set(), group: null, sort: { key: "", up: true }, rows: 100 };
const byId = (id) => document.getElementById(id);
const noisy = data.systems.findIndex((system) => system.style === "noisy");
const items = data.items, count = items.name.length;
const failures = new Map(data.failed.map(([item, system, metric, why]) => [`${item},${system},${metric}`, why]));

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function show(value, digits, sign = false) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(digits), plain = Number(text) === 0 ? text.replace("-", "") : text;
  return minus(sign && value > 0 && Number(text) !== 0 ? `+${plain}` : plain);
}

function fact(key, i) {
  const value = items.facts[key][i];
  return typeof value === "number" ? minus(String(Number(value.toPrecision(4)))) : value ?? "–";
}

function score(i, system) { return items.scores[system][state.metric][i]; }

function change(i, system) {
  if (noisy < 0 || system === noisy) return null;
  const value = score(i, system), start = score(i, noisy);
  return value === null || start === null ? null : value - start;
}

function metric() { return data.metrics[state.metric]; }

function title(change = false) {
  const { name, unit, up } = metric(), better = up === null ? "" : up ? ", higher is better" : ", lower is better";
  return `${name}${unit ? ` (${unit})` : ""}${change ? ": difference to noisy" : ""}${better}`;
}

function here(i) { return state.set === null || items.set[i] === state.set; }

function shownSystems() { return data.systems.map((_, k) => k).filter((k) => !state.hidden.has(k)); }

// Controls

function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, textContent: text })));
  select.value = chosen;
}

function setUpControls() {
  fillSelect(byId("metric"), data.metrics.map((one, k) => [k, one.name]), state.metric);
  byId("metric").addEventListener("change", (event) => { state.metric = Number(event.target.value); draw(); });
  const several = data.sets.length > 1, all = several ? [["", "all"]] : [];
  byId("set-choice").hidden = !several;
  fillSelect(byId("set"), [...all, ...data.sets.map((name, k) => [k, name])], several ? "" : 0);
  byId("set").addEventListener("change", (event) => {
    state.set = event.target.value === "" ? null : Number(event.target.value);
    draw();
  });
  byId("legend").replaceChildren(...data.systems.map(legendButton));
  setUpGroups();
  setUpComparisons();
}

// Many comparisons are shown metric by metric
function setUpComparisons() {
  const rows = [...document.querySelectorAll("[data-metric]")], select = byId("compared");
  if (rows.length <= 18) return;
  const choose = () => rows.forEach((row) => { row.hidden = select.value !== "" && row.dataset.metric !== select.value; });
  byId("compared-choice").hidden = false;
  fillSelect(select, [["", "all"], ...data.metrics.map(({ name }) => [name, name])], data.metrics[data.main].name);
  select.addEventListener("change", choose);
  choose();
}

function legendButton(system, k) {
  const key = make("i", { className: "key" });
  const button = make("button", { type: "button", className: system.style }, key, system.name);
  button.setAttribute("aria-pressed", "true");
  button.addEventListener("click", () => {
    if (!state.hidden.delete(k)) state.hidden.add(k);
    button.setAttribute("aria-pressed", String(!state.hidden.has(k)));
    draw();
  });
  return button;
}

function setUpGroups() {
  const names = [...new Set(data.groups.map((group) => group[1]))];
  byId("groups-section").hidden = !names.length;
  if (!names.length) return;
  state.group = names[0];
  fillSelect(byId("group"), names.map((name) => [name, name]), names[0]);
  byId("group").addEventListener("change", (event) => { state.group = event.target.value; drawCharts(); });
}

// Charts

function words(interval, digits) {
  const [n, mean, low, high] = interval;
  return `mean ${show(mean, digits)} [${show(low, digits)}, ${show(high, digits)}]\nn ${n}`;
}

function distributionRows() {
  const { digits } = metric();
  return shownSystems().map((k) => {
    const name = data.systems[k].name, points = [];
    for (let i = 0; i < count; i += 1) {
      const value = score(i, k);
      if (here(i) && value !== null) points.push({ value, text: `${items.name[i]}\n${name}: ${show(value, digits)}` });
    }
    const standings = data.standings.filter(([d, s, m]) => (state.set === null || d === state.set) && s === k && m === state.metric);
    const means = standings.map(([d, , , ...interval]) => (
      { interval, words: `${name}${data.sets.length > 1 ? `, ${data.sets[d]}` : ""}\n${words(interval, digits + 1)}` }));
    return { ...data.systems[k], points, means };
  });
}

function groupBands() {
  const bands = new Map(), { digits } = metric();
  for (const [set, group, value, system, m, ...interval] of data.groups) {
    if (group !== state.group || m !== state.metric || state.hidden.has(system)) continue;
    if (state.set !== null && set !== state.set) continue;
    const name = data.sets.length > 1 && state.set === null ? `${value} · ${data.sets[set]}` : value;
    if (!bands.has(name)) bands.set(name, { name, items: 0, rows: [] });
    const band = bands.get(name), one = data.systems[system];
    band.items = Math.max(band.items, interval[0]);
    band.rows.push({ ...one, interval, words: `${name}\n${one.name}: ${words(interval, digits + 1)}` });
  }
  return [...bands.values()];
}

function scoresShown() {
  return shownSystems().flatMap((k) => items.scores[k][state.metric].filter((value, i) => value !== null && here(i)));
}

function gainRows() {
  const snr = items.facts.snr_db, { digits } = metric();
  return shownSystems().filter((k) => k !== noisy).map((k) => {
    const points = [];
    for (let i = 0; i < count; i += 1) {
      const y = change(i, k);
      if (!here(i) || y === null || typeof snr[i] !== "number") continue;
      points.push({ x: snr[i], y, text: `${items.name[i]}\n${data.systems[k].name}: ${show(y, digits, true)} at ${fact("snr_db", i)} dB` });
    }
    return { ...data.systems[k], points };
  });
}

function drawCharts() {
  drawDistribution(byId("distribution"), distributionRows(), title());
  if (state.group !== null) drawGroups(byId("groups"), groupBands(), scoresShown(), title());
  const gains = noisy >= 0 && "snr_db" in items.facts && data.systems.length > 1;
  byId("gain-section").hidden = !gains;
  if (gains) drawGain(byId("gain"), gainRows(), { x: "input SNR (dB)", y: title(true) });
}

// Table of items

function columns() {
  const { digits } = metric(), sets = data.sets.length > 1;
  const found = sets ? [{ key: "data", text: true, value: (i) => data.sets[items.set[i]] }] : [];
  for (const key of Object.keys(items.facts)) {
    const text = items.facts[key].some((value) => typeof value === "string");
    found.push({ key, text, value: (i) => items.facts[key][i], cell: (i) => fact(key, i) });
  }
  const systems = shownSystems(), edge = (k) => k === systems[0];
  for (const k of systems) {
    const key = data.systems[k].name, style = data.systems[k].style;
    found.push({ key, style, edge: edge(k), value: (i) => score(i, k), cell: (i) => scoreCell(i, k, digits) });
  }
  for (const k of noisy < 0 ? [] : systems.filter((s) => s !== noisy)) {
    const key = `${data.systems[k].name} − noisy`, style = data.systems[k].style;
    found.push({ key, style, edge: k === systems.find((s) => s !== noisy), worse: (i) => isWorse(change(i, k)),
      value: (i) => change(i, k), cell: (i) => show(change(i, k), digits, true) });
  }
  return [{ key: "item", text: true, value: (i) => items.name[i] }, ...found];
}

function scoreCell(i, k, digits) {
  const why = failures.get(`${i},${k},${state.metric}`);
  return why !== undefined && score(i, k) === null ? `failed: ${clip(why, 40)}` : show(score(i, k), digits);
}

function isWorse(difference) {
  return difference !== null && metric().up !== null && (metric().up ? difference < 0 : difference > 0);
}

function setUpFilters() {
  const only = byId("only");
  only.append(make("option", { value: "", textContent: "all" }));
  if (data.failed.length) only.append(make("option", { value: "failed", textContent: "with failures" }));
  for (const [key, values] of Object.entries(items.facts)) {
    const distinct = [...new Set(values)].filter((value) => value !== null);
    if (distinct.length < 2 || distinct.length > 60 || (distinct.length > 12 && typeof distinct[0] === "number")) continue;
    distinct.sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
    const options = distinct.map((value) => make("option", { value: JSON.stringify([key, value]), textContent: value }));
    only.append(make("optgroup", { label: key }, ...options));
  }
  const restart = () => { state.rows = 100; drawTable(); };
  only.addEventListener("change", restart);
  byId("find").addEventListener("input", restart);
  byId("more").addEventListener("click", () => { state.rows += 100; drawTable(); });
  byId("all").addEventListener("click", () => { state.rows = Infinity; drawTable(); });
}

function kept() {
  const find = byId("find").value.trim().toLowerCase(), only = byId("only").value;
  const failed = new Set(data.failed.map((failure) => failure[0]));
  const [key, wanted] = only && only !== "failed" ? JSON.parse(only) : [null, null];
  const matches = (i) => [items.name[i], ...Object.keys(items.facts).map((name) => fact(name, i))]
    .some((text) => String(text).toLowerCase().includes(find));
  return Array.from({ length: count }, (_, i) => i).filter((i) => here(i) && (!find || matches(i))
    && (only !== "failed" || failed.has(i)) && (key === null || items.facts[key][i] === wanted));
}

function sorted(rows, all) {
  const column = all.find((one) => one.key === state.sort.key);
  if (!column) return rows;
  const sign = state.sort.up ? 1 : -1;
  return rows.map((i) => [column.value(i), i]).sort(([a, i], [b, k]) => {
    if (a === b) return i - k;
    if (a === null || a === undefined) return 1;  // what is missing comes last either way
    if (b === null || b === undefined) return -1;
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  }).map(([, i]) => i);
}

function drawTable() {
  const all = columns(), rows = sorted(kept(), all), table = byId("table");
  table.tHead.replaceChildren(make("tr", {}, ...all.map(headerCell)));
  table.tBodies[0].replaceChildren(...rows.slice(0, state.rows).map((i) => tableRow(i, all)));
  const shown = Math.min(rows.length, state.rows);
  byId("shown").textContent = `${shown} of ${rows.length} shown${rows.length < count ? `, ${count} in all` : ""}`;
  byId("more").hidden = byId("all").hidden = shown === rows.length;
}

function headerCell(column) {
  const button = make("button", { type: "button", textContent: column.key });
  const cell = make("th", { className: cellClass(column), scope: "col" }, button);
  if (state.sort.key === column.key) cell.setAttribute("aria-sort", state.sort.up ? "ascending" : "descending");
  button.addEventListener("click", () => {
    state.sort = { key: column.key, up: state.sort.key === column.key ? !state.sort.up : Boolean(column.text) };
    drawTable();
    const again = [...byId("table").tHead.querySelectorAll("button")].find((one) => one.textContent === column.key);
    again?.focus();
  });
  if (column.style) button.classList.add(column.style);
  return cell;
}

function cellClass(column) {
  return [column.text ? "text" : "", column.edge ? "edge" : ""].join(" ").trim();
}

function tableRow(i, all) {
  const [, ...rest] = all;
  return make("tr", {}, itemCell(i), ...rest.map((column) => {
    const text = column.cell ? column.cell(i) : column.value(i) ?? "–";
    const cell = make("td", { className: cellClass(column), textContent: text });
    if (column.worse?.(i)) cell.classList.add("less");
    if (text === "–") cell.classList.add("none");
    return cell;
  }));
}

function itemCell(i) {
  const cell = make("th", { scope: "row", title: items.name[i] }), pick = items.pick[i];
  if (pick === null) { cell.textContent = items.name[i]; return cell; }
  const link = make("a", { href: `#card-${pick}`, textContent: items.name[i] });
  link.addEventListener("click", (event) => { event.preventDefault(); viewer.open(pick, true); });
  cell.append(link);
  return cell;
}

// Listening: one card at a time, its recordings share one position

class Viewer {
  constructor() {
    this.cards = [...document.querySelectorAll(".card")];
    this.buttons = [...document.querySelectorAll(".picks button")];
    this.player = null;
    this.buttons.forEach((button, i) => button.addEventListener("click", () => this.open(i)));
    if (this.cards.length) this.open(0);
    document.addEventListener("keydown", (event) => this.key(event));
  }

  open(index, reveal = false) {
    this.player?.close();
    this.index = index;
    this.cards.forEach((card, i) => { card.hidden = i !== index; });
    this.buttons.forEach((button, i) => button.setAttribute("aria-current", String(i === index)));
    const card = this.cards[index];
    this.player = card.querySelector(".player") ? new Player(card) : null;
    if (reveal) { byId("listen").scrollIntoView(); card.focus({ preventScroll: true }); }
  }

  step(by) {
    const next = this.index + by;
    if (next < 0 || next >= this.cards.length) return;
    const playing = this.player?.playing, track = this.player?.track;
    this.open(next);
    this.keepVisible(this.buttons[next]);
    this.cards[next].focus({ preventScroll: true });
    this.player?.choose(track ?? 0);
    if (playing) this.player?.play();
  }

  keepVisible(button) {
    const list = button.closest(".picks"), item = button.parentElement;
    if (list.scrollHeight > list.clientHeight) list.scrollTop = item.offsetTop - list.offsetTop - 40;
  }

  listening() {
    const section = byId("listen"), frame = section.getBoundingClientRect(), middle = window.innerHeight / 2;
    return this.player?.playing || section.contains(document.activeElement) || (frame.top < middle && frame.bottom > middle);
  }

  key(event) {
    const at = event.target, busy = at.closest?.("input:not(.seek), select, textarea, .controls, .filters");
    if (!this.cards.length || busy || event.ctrlKey || event.metaKey || event.altKey || !this.listening()) return;
    if (this.act(event.key, at)) event.preventDefault();
  }

  act(key, at) {
    if (key === " " && this.player && !at.closest?.("button:not(.track), summary, a")) { this.player.toggle(); return true; }
    if (key >= "1" && key <= "9" && this.player) return this.player.choose(Number(key) - 1);
    const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!by || at.matches?.(".seek, .wide, .tall")) return false;
    this.step(by);
    return true;
  }
}

class Player {
  constructor(card) {
    this.card = card;
    this.root = card.querySelector(".player");
    this.buttons = [...this.root.querySelectorAll(".track")];
    this.heads = [...card.querySelectorAll(".head")];
    this.track = 0;
    this.controller = new AbortController();
    this.audios = this.buttons.map((button) => this.audio(button.dataset.address));
    this.root.append(...this.audios);
    this.listen();
    this.choose(0);
  }

  audio(address) {
    const audio = make("audio", { src: address, preload: "auto", hidden: true });
    for (const name of ["play", "pause", "ended", "seeked", "loadedmetadata"]) audio.addEventListener(name, () => this.update());
    return audio;
  }

  listen() {
    const on = (node, name, action) => node.addEventListener(name, action, { signal: this.controller.signal });
    on(this.root.querySelector(".play"), "click", () => this.toggle());
    this.buttons.forEach((button, k) => on(button, "click", () => this.choose(k)));
    on(this.root.querySelector(".seek"), "input", (event) => this.seek(Number(event.target.value)));
    this.card.querySelectorAll(".picture").forEach((picture) => on(picture, "click", (event) => {
      const frame = picture.getBoundingClientRect(), x = (event.clientX - frame.left) / frame.width;
      this.seek(Math.min(1, Math.max(0, (x - AXIS[0]) / (AXIS[1] - AXIS[0]))));
    }));
  }

  get current() { return this.audios[this.track]; }
  get playing() { return !this.current.paused && !this.current.ended; }
  get duration() { return Math.max(0, ...this.audios.map((audio) => audio.duration || 0)); }

  choose(k) {
    if (k >= this.audios.length) return false;
    const { playing } = this, position = this.current.ended ? 0 : this.current.currentTime;
    if (k !== this.track) this.current.pause();
    this.track = k;
    if (this.current.currentTime !== position) this.current.currentTime = position;
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === k)));
    if (playing) this.play();
    this.update();
    return true;
  }

  play() { this.current.play().catch(() => this.update()); }

  toggle() { if (this.playing) this.current.pause(); else this.play(); }

  seek(share) {
    this.current.currentTime = share * this.duration;
    this.update();
  }

  update() {
    const { duration, playing } = this, position = this.current.currentTime, share = duration ? position / duration : 0;
    const button = this.root.querySelector(".play");
    button.textContent = playing ? "Pause" : "Play";
    button.setAttribute("aria-label", button.textContent);
    this.root.querySelector(".seek").value = share;
    this.root.querySelector(".time").textContent = `${position.toFixed(1)} / ${duration.toFixed(1)} s`;
    for (const head of this.heads) {
      head.hidden = !duration;
      head.style.left = `${100 * (AXIS[0] + share * (AXIS[1] - AXIS[0]))}%`;
    }
    cancelAnimationFrame(this.frame);
    if (playing) this.frame = requestAnimationFrame(() => this.update());
  }

  close() {
    this.controller.abort();
    cancelAnimationFrame(this.frame);
    for (const audio of this.audios) { audio.pause(); audio.removeAttribute("src"); audio.remove(); }
    this.update = () => {};
    this.root.querySelector(".play").textContent = "Play";
  }
}

function draw() { drawCharts(); drawTable(); }

const AXIS = data.axis;
setUpControls();
setUpFilters();
const viewer = new Viewer();
draw();
let drawnWidth = byId("distribution").clientWidth;
new ResizeObserver(() => {
  const width = byId("distribution").clientWidth;
  if (width !== drawnWidth) { drawnWidth = width; drawCharts(); }
}).observe(byId("distribution"));
document.documentElement.dataset.ready = String(Math.round(performance.now()));
