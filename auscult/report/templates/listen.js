"use strict";
(() => {
  const test = JSON.parse(document.getElementById("test").textContent);
  const RESULTS = { schema: "auscult-listening-results", version: 1 };
  const STORE = `auscult-listen-${test.page}`;
  const FADE_S = 0.01; // cross-fade between versions, and the edges of play
  const AHEAD_S = 0.02; // all versions start together, this much after the command
  const HEARD_S = 0.5; // a version counts as heard after this much (or half of a shorter one)
  const TICK_MS = 50;
  const WORDS = ["Bad", "Poor", "Fair", "Good", "Excellent"];
  const mushra = test.kind === "mushra";
  const $ = (id) => document.getElementById(id);

  // --- chance: xorshift32 (Marsaglia 2003), so that a seed gives the order again

  function chance(seed) {
    let state = seed >>> 0 || 1;
    const next = () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      state >>>= 0;
      return state / 2 ** 32;
    };
    for (let i = 0; i < 16; i++) next(); // small seeds begin with small numbers
    return next;
  }

  function shuffled(list, random) {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  }

  /** The trials of a session: which stimulus is behind which label, in the order of the session. */
  function planned(seed) {
    const random = chance(seed);
    const trials = { abx: plannedAbx, ab: plannedAb, mushra: plannedMushra }[test.kind](random);
    return shuffled(trials, random);
  }

  function plannedAbx(random) {
    const items = shuffled(test.items, random);
    return Array.from({ length: test.trials }, (_, i) => {
      const [a, b] = shuffled(items[i % items.length].pairs[0], random);
      return { labels: { A: a, B: b, X: random() < 0.5 ? a : b }, reference: null };
    });
  }

  function plannedAb(random) {
    const one = (item) => item.pairs.map((pair) => {
      const [a, b] = shuffled(pair, random);
      return { labels: { A: a, B: b }, reference: item.reference };
    });
    return test.items.flatMap(one);
  }

  function plannedMushra(random) {
    return test.items.map((item) => {
      const order = shuffled(item.stimuli, random);
      return { labels: Object.fromEntries(order.map((name, i) => [String(i + 1), name])), reference: item.reference };
    });
  }

  // --- the truth, veiled so that nobody reads it by accident

  function truth() {
    const mixed = atob(test.truth);
    const bytes = Uint8Array.from(mixed, (c, i) => c.charCodeAt(0) ^ test.page.charCodeAt(i % test.page.length));
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  // --- the session, kept through reloads where the browser allows it

  let session = null;
  let plan = [];
  let keeps = true;

  function fresh() {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] || 1;
    return { listener: "", seed, id: null, started: null, volume_db: -6, answers: [], current: null, finished: null };
  }

  function stored() {
    try {
      const found = JSON.parse(localStorage.getItem(STORE));
      return found && Array.isArray(found.answers) && Number.isInteger(found.seed) ? found : null;
    } catch {
      return null;
    }
  }

  function keep() {
    try {
      localStorage.setItem(STORE, JSON.stringify(session));
    } catch {
      keeps = false;
    }
  }

  function forget() {
    try {
      localStorage.removeItem(STORE);
    } catch {
      keeps = false;
    }
  }

  // --- the player: every version runs all the time, only one is heard

  const player = {
    context: null, output: null, tracks: [], run: null, active: null, offset: 0, duration: 0, loop: true,
    onChange: () => {},

    open() {
      if (this.context) return this.context.resume();
      this.context = new AudioContext();
      this.output = this.context.createGain();
      this.output.connect(this.context.destination);
      this.volume(session.volume_db);
      return this.context.resume();
    },

    volume(db) {
      if (this.output) this.output.gain.value = 10 ** (db / 20);
    },

    /** Decode the stimuli of a trial; ``labels`` maps labels to stimuli, one may be under two labels. */
    async load(labels) {
      this.pause();
      const names = [...new Set(Object.values(labels))];
      const buffers = await Promise.all(names.map((name) => this.context.decodeAudioData(bytesOf(test.audio[name]))));
      this.tracks = Object.entries(labels).map(([label, name]) => ({ label, buffer: buffers[names.indexOf(name)] }));
      this.duration = this.tracks[0].buffer.duration;
      this.offset = 0;
      this.active = null;
    },

    get playing() {
      return this.run !== null;
    },

    position() {
      if (!this.run) return this.offset;
      const since = Math.max(0, this.context.currentTime - this.run.when);
      return (this.run.offset + since) % this.duration;
    },

    play() {
      if (this.run || this.active === null) return;
      const when = this.context.currentTime + AHEAD_S;
      const offset = this.offset;
      const voices = this.tracks.map((track) => this.voice(track, when, offset));
      const run = { when, offset, voices };
      voices[0].source.onended = () => this.ended(run);
      this.run = run;
      this.onChange();
    },

    voice(track, when, offset) {
      const source = this.context.createBufferSource();
      const gain = this.context.createGain();
      source.buffer = track.buffer;
      source.loop = this.loop;
      source.connect(gain).connect(this.output);
      gain.gain.setValueAtTime(0, 0);
      if (track.label === this.active) {
        gain.gain.setValueAtTime(0, when);
        gain.gain.linearRampToValueAtTime(1, when + FADE_S / 2);
      }
      source.start(when, offset);
      return { label: track.label, source, gain: gain.gain, level: track.label === this.active ? 1 : 0 };
    },

    ended(run) {
      if (this.run !== run) return;
      this.run = null;
      this.offset = 0;
      this.onChange();
    },

    pause() {
      const { run } = this;
      if (!run) return;
      this.offset = this.position();
      this.run = null;
      const now = this.context.currentTime;
      for (const voice of run.voices) {
        fade(voice, 0, now, FADE_S / 2);
        voice.source.stop(now + FADE_S);
      }
      this.onChange();
    },

    seek(seconds) {
      const { playing } = this;
      this.pause();
      this.offset = Math.min(Math.max(seconds, 0), Math.max(0, this.duration - 0.001));
      if (playing) this.play();
    },

    select(label) {
      this.active = label;
      if (this.run) {
        const now = this.context.currentTime;
        for (const voice of this.run.voices) fade(voice, voice.label === label ? 1 : 0, now, FADE_S);
      }
      this.onChange();
    },

    repeat(on) {
      this.loop = on;
      if (this.run) for (const { source } of this.run.voices) source.loop = on;
    },
  };

  /** Browsers disagree on what a gain's value is during a ramp, so the last level is kept beside it. */
  function fade(voice, to, now, seconds) {
    if (voice.level === to) return;
    voice.gain.cancelScheduledValues(now);
    voice.gain.setValueAtTime(voice.level, now);
    voice.gain.linearRampToValueAtTime(to, now + seconds);
    voice.level = to;
  }

  function bytesOf(uri) {
    return Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), (c) => c.charCodeAt(0)).buffer;
  }

  // --- small helpers of the page

  function show(name) {
    for (const id of ["setup", "trial", "end"]) $(id).hidden = id !== name;
  }

  function say(text) {
    $("says").textContent = text;
  }

  function fail(error) {
    $("failure").hidden = false;
    $("failure").textContent = `This browser cannot play the test (${error.message || error}). Try another browser.`;
  }

  function make(tag, properties = {}, ...children) {
    const { attributes = {}, ...plain } = properties;
    const element = Object.assign(document.createElement(tag), plain);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** A click with the mouse leaves the focus where it was, so that the keys of the page go on working. */
  function keepsFocus(element) {
    element.addEventListener("mousedown", (event) => event.preventDefault());
    return element;
  }

  // --- first screen: name, volume, start

  let sampled = false;

  function showSetup() {
    show("setup");
    $("listener").value = session.listener;
    $("volume").value = session.volume_db;
    const going = session.started !== null;
    $("listener").disabled = going;
    $("afresh").hidden = !going;
    $("resume").hidden = !going;
    $("resume").textContent = `Your answers so far are kept: ${session.answers.length} of ${plan.length || test.trials}.`;
    $("start").textContent = going ? `Go on with trial ${session.answers.length + 1}` : "Start";
    updateSetup();
  }

  function updateSetup() {
    const missing = [];
    if (!$("listener").value.trim()) missing.push("enter your name or number");
    if (!sampled) missing.push("play the sample");
    $("start").disabled = missing.length > 0;
    const lost = keeps ? "" : " This browser keeps no progress: do not reload the page during the test.";
    $("start-hint").textContent = (missing.length ? `Before you start: ${missing.join(" and ")}.` : "") + lost;
    $("volume-text").textContent = `${$("volume").value.replace("-", "−")} dB`;
  }

  async function playSample() {
    try {
      await player.open();
      if (player.playing) return player.pause();
      await player.load({ sample: test.sample });
      player.repeat(true);
      player.select("sample");
      player.play();
      sampled = true;
      updateSetup();
    } catch (error) {
      fail(error);
    }
  }

  function setVolume() {
    session.volume_db = Number($("volume").value);
    player.volume(session.volume_db);
    updateSetup();
    if (session.started) keep();
  }

  async function start() {
    player.pause();
    if (!session.started) {
      session.listener = $("listener").value.trim();
      session.started = new Date().toISOString();
      session.id = `${session.seed.toString(16).padStart(8, "0")}-${Date.now().toString(36)}`;
    }
    plan = planned(session.seed);
    keep();
    await player.open();
    await showTrial();
  }

  function startAfresh() {
    if (!session.finished && session.answers.length && !confirm("Forget the answers given so far?")) return;
    forget();
    const { volume_db } = session;
    session = { ...fresh(), volume_db };
    plan = [];
    player.pause();
    showSetup();
    $("listener").focus();
  }

  // --- a trial

  let trial = null;

  async function showTrial() {
    const index = session.answers.length;
    if (index >= plan.length) return finish();
    const { labels, reference } = plan[index];
    const all = reference ? { Reference: reference, ...labels } : labels;
    trial = { index, labels, all: Object.keys(all), ready: false };
    session.current = resumed(session.current, index, trial.all);
    show("trial");
    drawTrial();
    $("trial-title").focus();
    say(`Trial ${index + 1} of ${plan.length}`);
    try {
      await player.load(all);
    } catch (error) {
      return fail(error);
    }
    player.repeat($("loop").checked);
    trial.ready = true;
    $("trial").setAttribute("aria-busy", "false");
    update();
  }

  function resumed(kept, index, labels) {
    const zeros = () => Object.fromEntries(labels.map((label) => [label, 0]));
    if (kept && kept.index === index) return kept;
    return { index, seconds: 0, heard: zeros(), replays: zeros(), answer: mushra ? {} : null };
  }

  function drawTrial() {
    const count = `Trial ${trial.index + 1} of ${plan.length}`;
    $("trial").setAttribute("aria-busy", "true");
    $("trial-title").textContent = count;
    $("done").value = trial.index / plan.length;
    $("question").textContent = {
      abx: "Which of the two is X?",
      ab: "Which one would you rather listen to?",
      mushra: "How good is each version against the reference?",
    }[test.kind];
    const buttons = trial.all.filter((label) => !mushra || label === "Reference");
    $("stimuli").replaceChildren(...buttons.map(stimulusButton));
    $("answers").replaceChildren(mushra ? ratings() : choices());
    $("next").textContent = trial.index + 1 === plan.length ? "Finish" : "Next";
    $("next").disabled = true;
    $("hint").textContent = "Loading";
    $("position").value = 0;
  }

  function stimulusButton(label) {
    const button = make("button", { type: "button", className: "stimulus", attributes: { "aria-pressed": "false" } });
    button.dataset.label = label;
    button.append(label, make("small"));
    if (mushra && label !== "Reference") button.setAttribute("aria-label", `Version ${label}`);
    button.addEventListener("click", () => listen(label));
    return keepsFocus(button);
  }

  function choices() {
    const offered = test.kind === "abx"
      ? [["A", "X is A"], ["B", "X is B"]]
      : [["A", "I prefer A"], ["none", "No preference"], ["B", "I prefer B"]];
    const one = ([value, text]) => {
      const input = make("input", { type: "radio", name: "answer", value, checked: session.current.answer === value });
      input.addEventListener("change", () => answer(value));
      return keepsFocus(make("label", { className: "choice" }, input, make("span", { textContent: text })));
    };
    const legend = make("legend", { textContent: "Your answer" });
    return make("fieldset", {}, legend, make("div", { className: "choices" }, ...offered.map(one)));
  }

  function ratings() {
    const words = make("ol", {}, ...WORDS.map((word) => make("li", { textContent: word })));
    const scale = make("div", { className: "scale", attributes: { "aria-hidden": "true" } }, words);
    const legend = make("legend", { textContent: "Your ratings", className: "visually-hidden" });
    return make("fieldset", {}, legend, scale, ...Object.keys(trial.labels).map(rating));
  }

  function rating(label) {
    const given = session.current.answer[label];
    const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: given ?? 50 });
    slider.dataset.label = label;
    slider.setAttribute("aria-label", `Rating of version ${label}`);
    slider.addEventListener("input", () => rate(label, Number(slider.value)));
    return make("div", { className: "rating" }, stimulusButton(label), slider, make("output"));
  }

  /** Switch to a version, without a gap at the same place; starts playing where nothing plays. */
  function listen(label) {
    if (!trial.ready || !trial.all.includes(label)) return;
    const changes = player.active !== label || !player.playing;
    player.select(label);
    player.play();
    if (changes) session.current.replays[label] += 1;
    focusSlider(label);
    update();
  }

  function focusSlider(label) {
    if (!document.activeElement.matches(".rating input")) return;
    const slider = sliderOf(label);
    if (slider && !slider.disabled) slider.focus();
    else document.activeElement.blur();
  }

  function toggle() {
    if (!trial.ready) return;
    if (player.playing) return player.pause();
    listen(player.active ?? trial.all[0]);
  }

  const needed = () => (mushra ? trial.all : Object.keys(trial.labels));
  const enough = () => Math.min(HEARD_S, player.duration / 2);
  const unheard = () => needed().filter((label) => session.current.heard[label] < enough());
  const sliderOf = (label) => document.querySelector(`.rating input[data-label="${label}"]`);

  function answer(value) {
    if (unheard().length) return;
    session.current.answer = value;
    for (const input of document.querySelectorAll("#answers input")) input.checked = input.value === value;
    keep();
    update();
  }

  function rate(label, value) {
    if (unheard().length) return;
    const slider = sliderOf(label);
    slider.value = value;
    session.current.answer[label] = Number(slider.value);
    keep();
    update();
  }

  function unanswered() {
    if (!mushra) return session.current.answer === null ? ["an answer"] : [];
    return Object.keys(trial.labels).filter((label) => !(label in session.current.answer));
  }

  function next() {
    if (!trial.ready || unheard().length || unanswered().length) return;
    player.pause();
    const { seconds, replays, heard, answer: given } = session.current;
    session.answers.push({ seconds, replays, heard, answer: given });
    session.current = null;
    keep();
    showTrial();
  }

  // --- what the screen of a trial shows

  function update() {
    if ($("trial").hidden || !trial.ready) return;
    const waiting = unheard();
    for (const button of document.querySelectorAll(".stimulus")) drawStimulus(button, waiting);
    for (const input of document.querySelectorAll("#answers input")) input.disabled = waiting.length > 0;
    $("answers").classList.toggle("locked", waiting.length > 0);
    for (const row of document.querySelectorAll(".rating")) drawRating(row);
    const open = unanswered();
    $("next").disabled = waiting.length + open.length > 0;
    setText($("hint"), hintOf(waiting, open));
    drawPlayer();
  }

  function hintOf(waiting, open) {
    if (waiting.length) return `Listen first to: ${waiting.join(", ")}`;
    if (open.length) return mushra ? `Still to rate: ${open.join(", ")}` : "Choose an answer";
    return "";
  }

  function drawStimulus(button, waiting) {
    const { label } = button.dataset;
    const on = player.active === label;
    button.setAttribute("aria-pressed", String(on));
    const note = on && player.playing ? "playing" : waiting.includes(label) ? "not heard yet" : "heard";
    const wanted = needed().includes(label) || (on && player.playing);
    if (!mushra || label === "Reference") setText(button.querySelector("small"), wanted ? note : "");
    else button.title = note;
  }

  function drawRating(row) {
    const { label } = row.querySelector("input").dataset;
    const value = session.current.answer[label];
    row.classList.toggle("unrated", value === undefined);
    setText(row.querySelector("output"), value === undefined ? "–" : String(value));
    const word = value === undefined ? "not rated" : `${value}, ${WORDS[Math.min(4, Math.floor(value / 20))]}`;
    row.querySelector("input").setAttribute("aria-valuetext", word);
  }

  function drawPlayer() {
    const at = player.position();
    setText($("play"), player.playing ? "Pause" : "Play");
    $("play").setAttribute("aria-pressed", String(player.playing));
    $("position").max = player.duration;
    $("position").value = at;
    $("position").setAttribute("aria-valuetext", `${at.toFixed(1)} seconds`);
    setText($("clock"), `${at.toFixed(1)} / ${player.duration.toFixed(1)} s`);
  }

  function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  let heardUntil = 0;
  let ticked = 0;

  /** What is heard counts while it plays, by the clock of the sound. */
  function tick() {
    const now = player.context ? player.context.currentTime : 0;
    const heard = now - heardUntil;
    const passed = performance.now() - ticked;
    heardUntil = now;
    ticked += passed;
    if ($("trial").hidden || !trial || !trial.ready) return;
    session.current.seconds += passed / 1000;
    if (!player.playing) return;
    const before = unheard().length;
    session.current.heard[player.active] += heard;
    if (unheard().length < before) keep();
    if (before && !unheard().length) say(mushra ? "All heard: the sliders are open" : "All heard: you can answer");
    update();
  }

  // --- keys

  function onKey(event) {
    if ($("trial").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (event.key === " " && target.matches("button, input[type=radio], input[type=checkbox]")) return;
    if (event.key === "Enter" && target.matches("button")) return;
    const action = actionOf(event.key.length === 1 ? event.key.toUpperCase() : event.key, event.shiftKey, target);
    if (!action) return;
    event.preventDefault();
    action();
  }

  function actionOf(key, shift, target) {
    if (key === " ") return toggle;
    if (key === "Enter") return next;
    if (key === "L") return () => $("loop").click();
    if (key === "R" && trial.all.includes("Reference")) return () => listen("Reference");
    if (trial.all.includes(key)) return () => listen(key);
    const numbered = Object.keys(trial.labels)[Number(key) - 1];
    if (/^[1-9]$/.test(key) && numbered) return () => listen(numbered);
    return key.startsWith("Arrow") ? arrowOf(key, shift, target) : null;
  }

  function arrowOf(key, shift, target) {
    if (mushra) return target.matches("#position, input[type=checkbox]") ? null : stepOf(key, shift, target);
    if (target.matches("input")) return null;
    const value = { ArrowLeft: "A", ArrowRight: "B", ArrowDown: test.kind === "ab" ? "none" : null }[key];
    return value ? () => answer(value) : null;
  }

  function stepOf(key, shift, target) {
    const label = target.matches(".rating input") ? target.dataset.label : player.active;
    const slider = sliderOf(label);
    if (!slider) return null;
    const step = (key === "ArrowRight" || key === "ArrowUp" ? 1 : -1) * (shift ? 10 : 1);
    return () => rate(label, Number(slider.value) + step);
  }

  // --- the end

  function finish() {
    session.finished ??= new Date().toISOString();
    keep();
    show("end");
    $("plain").value = JSON.stringify(results(), null, 1);
    $("saved").textContent = "";
    $("another").disabled = true; // until the answers are saved: it forgets them
    $("end-title").focus();
    say("All trials done. Save your answers.");
  }

  function results() {
    const known = truth();
    const { listener, id, seed, started, finished, volume_db } = session;
    const trials = session.answers.map((given, index) => resultOf(given, index, known.stimuli));
    return {
      ...RESULTS, page: test.page, kind: test.kind, title: test.title, level: test.level, max_s: test.max_s,
      systems: known.systems, listener, session: id, seed, started, finished, volume_db, trials,
      stimuli: known.stimuli,
    };
  }

  function resultOf(given, index, stimuli) {
    const { labels } = plan[index];
    const order = Object.values(labels);
    return {
      index, item: stimuli[order[0]].item, order, answer: given.answer, seconds: rounded(given.seconds),
      heard_s: Object.fromEntries(Object.entries(given.heard).map(([label, s]) => [label, rounded(s)])),
      replays: given.replays,
      truth: Object.fromEntries(Object.entries(labels).map(([label, name]) => [label, stimuli[name].system])),
    };
  }

  const rounded = (seconds) => Math.round(seconds * 100) / 100;

  function save() {
    const name = session.listener.replace(/[^\p{L}\p{N}_-]+/gu, "_");
    const file = `results-${test.kind}-${name}.json`;
    const url = URL.createObjectURL(new Blob([$("plain").value], { type: "application/json" }));
    make("a", { href: url, download: file }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    $("another").disabled = false;
    $("saved").textContent = `Saved as ${file} where your browser puts downloads.`;
  }

  // --- begin

  function wire() {
    $("listener").addEventListener("input", updateSetup);
    $("sample").addEventListener("click", playSample);
    $("volume").addEventListener("input", setVolume);
    $("start").addEventListener("click", () => start().catch(fail));
    $("afresh").addEventListener("click", startAfresh);
    keepsFocus($("play")).addEventListener("click", toggle);
    $("position").addEventListener("input", () => player.seek(Number($("position").value)));
    $("loop").addEventListener("change", () => player.repeat($("loop").checked));
    keepsFocus($("next")).addEventListener("click", next);
    $("save").addEventListener("click", save);
    $("another").addEventListener("click", startAfresh);
    document.addEventListener("keydown", onKey);
    window.addEventListener("pagehide", () => session.started && keep());
    setInterval(tick, TICK_MS);
    player.onChange = () => {
      $("sample").setAttribute("aria-pressed", String(player.playing));
      setText($("sample"), player.playing ? "Stop the sample" : "Play the sample");
      update();
    };
  }

  function begin() {
    session = stored() ?? fresh();
    wire();
    if (session.started) plan = planned(session.seed);
    if (session.finished) return finish();
    showSetup();
  }

  begin();
})();
