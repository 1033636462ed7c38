// Shows what the lab has (site.json, made with the image), who may use it, and how it is (state.json, which the
// master writes every few minutes; it may be missing or old). All texts are put in as text, never as HTML.
"use strict";

// The master writes at least every twelve minutes, and it takes up to two until the file is here.
const OLD_MS = 20 * 60 * 1000;
const PAUSE_MS = 30 * 1000;

const TONES = { ready: "ready", starting: "starting", waiting: "waiting", failing: "failing" };
const LIST = new Intl.ListFormat("en");
const WORDS = { ready: "Ready", starting: "Starting", waiting: "Waiting", failing: "Trouble", unknown: "Not known" };

const byId = (id) => document.getElementById(id);
const seen = new Map();

function make(kind, className, text) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// Only what differs, so that a screen reader is not told the same again.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// "Keycloak: who may log in" has a name and a text.
function split(text) {
  const title = text.replaceAll("`", "");
  const at = title.indexOf(": ");
  return at < 0 ? [title, ""] : [title.slice(0, at), title.slice(at + 2, at + 3).toUpperCase() + title.slice(at + 3)];
}

function card(component) {
  const [name, text] = split(component.title);
  const item = make("li", "card");
  const letter = make("span", "letter", name.slice(0, 1).toUpperCase());
  letter.setAttribute("aria-hidden", "true");
  const heading = make("h3");
  const link = make("a", "", name);
  link.href = `https://${component.link}/`;
  heading.append(link);
  const body = make("div", "text");
  body.append(make("p", "", text || component.why));
  if (component.access) body.append(make("p", "access", component.access));
  const reason = make("p", "reason");
  body.append(reason);
  const state = make("span", "state");
  item.append(letter, heading, state, make("p", "host", component.link), body);
  return { name, item, state, reason };
}

function row(component) {
  const [name, text] = split(component.title);
  const item = make("li", "row");
  const body = make("div");
  const reason = make("p", "reason");
  body.append(make("h3", "", name), make("p", "text", text), reason);
  const state = make("span", "state");
  item.append(body, state);
  return { name, item, state, reason };
}

function build(site) {
  say(byId("lab"), site.cluster);
  say(byId("domain"), site.domain);
  document.title = `${site.cluster} – homelab`;
  say(byId("made"), `Made by labimg ${site.labimg}.`);
  const order = new Intl.Collator("en");
  for (const component of site.components.toSorted((a, b) => order.compare(a.title, b.title))) {
    // This page is where one is already.
    const isService = component.link && component.link !== site.domain;
    const parts = isService ? card(component) : row(component);
    byId(isService ? "cards" : "rows").append(parts.item);
    seen.set(component.name, parts);
  }
  byId("services").hidden = !byId("cards").children.length;
  byId("parts").hidden = !byId("rows").children.length;
}

function show(tone, summary, detail, ready, all) {
  byId("health").dataset.tone = tone;
  say(byId("summary"), summary);
  say(byId("detail"), detail);
  const progress = byId("progress");
  progress.hidden = all === 0;
  progress.max = all || 1;
  progress.value = ready;
}

// What is not in the state is not known. `state` is null when there is none, and is not believed when it is old.
function showStates(state) {
  const known = new Map((state ? state.components : []).map((component) => [component.name, component]));
  const count = { ready: 0, starting: 0, waiting: 0, failing: 0, unknown: 0, troubled: [] };
  for (const [name, parts] of seen) {
    const { state: word, reason } = known.get(name) ?? {};
    const tone = TONES[word] ?? "unknown";
    count[tone] += 1;
    if (tone === "failing") count.troubled.push(parts.name);
    parts.item.dataset.tone = tone;
    say(parts.state, WORDS[tone]);
    say(parts.reason, reason || "");
  }
  return count;
}

function time(date) {
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

function report(state, now) {
  if (!state) {
    showStates(null);
    show("unknown", "How it is, is not known yet", "The master looks for the first time a few minutes after its start.", 0, 0);
    return;
  }
  const made = new Date(state.made);
  if (!(now - made < OLD_MS)) {
    showStates(null);
    show("unknown", "How it is, is not known", `The master last told at ${time(made)}. If it is on, its boot report on the card says more.`, 0, 0);
    return;
  }
  const count = showStates(state);
  const all = seen.size;
  const as = `As of ${time(made)}.`;
  if (count.failing) {
    const who = count.failing < 4 ? LIST.format(count.troubled) : `${count.failing} parts`;
    const begin = `${who} ${count.failing === 1 ? "has" : "have"} trouble`;
    show("failing", `${begin}, ${count.ready} of ${all} parts are ready`, `The lab keeps trying by itself; in its first hour that is often enough. ${as}`, count.ready, all);
  } else if (count.ready === all) {
    show("ready", `All ${all} parts are ready`, as, all, all);
  } else {
    show("starting", `The lab is coming up: ${count.ready} of ${all} parts are ready`, `Nothing needs to be done. ${as}`, count.ready, all);
  }
}

async function read(file) {
  const response = await fetch(file, { cache: "no-cache" });
  if (response.status === 404) return { value: null, date: new Date() };
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  return { value: await response.json(), date: new Date(response.headers.get("Date") ?? Date.now()) };
}

async function look() {
  try {
    const { value, date } = await read("state.json");
    // Both times are the lab's: the clock of this computer does not matter.
    const isState = typeof value?.made === "string" && Array.isArray(value.components) && !Number.isNaN(Date.parse(value.made));
    report(isState ? value : null, date);
  } catch {
    showStates(null);
    show("failing", "The lab does not answer", "This page asks again by itself.", 0, 0);
  }
}

async function begin() {
  let site;
  try {
    site = (await read("site.json")).value;
    build(site);
  } catch {
    show("failing", "What the lab has cannot be read", "Load the page again. If that does not help: kubectl -n home get pods", 0, 0);
    return;
  }
  await look();
  setInterval(() => document.hidden || look(), PAUSE_MS);
  document.addEventListener("visibilitychange", () => document.hidden || look());
}

begin();
