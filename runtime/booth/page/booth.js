// The booth's state, as the device tells it → what is on the screen. The device decides; a page only shows and asks.
import { act } from "./act.js";
import { followCamera, freezeAt, goOn, hold } from "./camera.js";
import { buildChoices, mark, markLanguage, openTab } from "./choices.js";
import { countDown, stopCounting } from "./countdown.js";
import { openGallery } from "./gallery.js";
import { showSaved } from "./saved.js";
import { scan, select } from "./scan.js";
import { speak, word } from "./words.js";

const body = document.body;
const said = document.getElementById("said");
const shot = document.getElementById("shot");
const WALL = 12; // pictures; few ones hang there several times
const TOUCH_EVERY_MS = 5000; // a guest who is still there says so at most this often

let settings;
let state = { step: "connecting", number: 0, problems: [], selected: 0 };
let shown = state; // the one on the screen, where words were still on their way for a newer one
let holds = false; // the picture stands before the device said so
let touchedAt = 0;
let lost = false; // the device does not answer; its settings may be others when it does again

async function start() {
  settings = await (await fetch("/api/settings")).json();
  document.title = settings.title;
  document.getElementById("title").textContent = settings.title;
  document.getElementById("heading").textContent = settings.title;
  document.getElementById("name").textContent = settings.title;
  body.style.setProperty("--accent", settings.accent);
  body.style.setProperty("--ink", settings.ink);
  body.classList.toggle("mirrored", settings.mirror);
  body.classList.toggle("high", settings.contrast === "high");
  for (const part of document.querySelectorAll("[data-when]")) part.dataset.off = String(!settings[part.dataset.when]);
  buildChoices(settings, () => state);
  if (settings.scan_s) scan(settings.scan_s * 1000);
  listen();
  followCamera(document.getElementById("live"));
}

function listen() {
  const events = new EventSource("/api/events");
  events.onmessage = (event) => {
    if (lost) location.reload(); // another start of the program may have other settings
    else show(JSON.parse(event.data));
  };
  events.onerror = () => {
    lost = true;
    body.dataset.step = state.step = shown.step = "connecting"; // the browser connects again by itself
    layOut();
  };
}

async function show(next) {
  stand(next, state);
  if (next.selected !== state.selected && state.step !== "connecting") select();
  state = next;
  await speak(state.language);
  if (state !== next) return; // a newer state came while the words were fetched
  const before = shown;
  shown = next;
  if (state.step !== before.step) enter(before);
  // Only what is new: a choice just made, of which the device has not heard yet, must not jump back.
  for (const group of ["background", "layout", "effect"]) if (state[group] !== before[group]) mark(group, state[group]);
  markLanguage(state.language);
  showProblems();
  body.dataset.ready = String(state.ready);
  document.querySelector('[data-act="shoot"]').disabled = !state.ready;
  document.getElementById("finishing").hidden = state.finished || !["review", "saved"].includes(state.step);
  if (state.picture !== before.picture && state.picture) showShot();
  showSaved(state, settings);
}

// The picture stands while it is taken. The device has the last word on the frame: all pages show the same.
function stand(next, before) {
  if (next.frozen !== null && next.frozen !== before.frozen) {
    // A page that was just opened did not see the picture being taken, one that held has flashed.
    if (before.step !== "connecting" && !holds) flash();
    freezeAt(next.frozen, (since) => performance.mark("edgematte:frozen", { startTime: since }));
  } else if (next.frozen === null && (before.frozen !== null || !["countdown", "expose"].includes(next.step))) letGo();
}

// What guests see when they press is what they get: the device is told which frame that is.
function takeNow() {
  performance.mark("edgematte:pressed");
  if (!holds) flash();
  holds = true;
  return String(hold());
}

function letGo() {
  holds = false;
  goOn();
}

async function press(action) {
  const now = settings.instant && state.step === "choose" && state.record_s === null;
  if (!(await act(action, now ? takeNow() : "")) && state.frozen === null) letGo();
}

function enter(before) {
  body.dataset.step = state.step;
  layOut();
  stopCounting();
  if (state.step === "countdown") {
    if (state.shots > 1) document.getElementById("which").textContent = word("which", state.taken + 1, state.shots);
    else document.getElementById("which").textContent = word("look_here");
    countDown(state.left_s, (second) => announce(String(second)), settings.instant || state.record_s !== null ? () => {} : takeNow);
  } else announce(word(`said_${state.step}`));
  if (state.step === "record") {
    document.getElementById("which").textContent = word("move");
    countDown(state.left_s, () => {}, () => {});
  }
  if (state.step === "choose" && before.step !== "gallery") openTab("backgrounds");
  if (state.step === "idle") hangPictures();
  if (state.step === "gallery") openGallery(settings, state);
  if (document.getElementById("sure").open && state.step !== "saved") document.getElementById("sure").close();
  if (before.step !== "connecting" || state.step === "idle") focusFirst();
}

function layOut() {
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(state.step);
}

function focusFirst() {
  const first = [...document.querySelectorAll("[data-first]")].find((button) => button.offsetParent !== null);
  first?.focus({ preventScroll: true });
}

function announce(text) {
  said.textContent = text;
}

function flash() {
  const light = document.getElementById("flash");
  light.classList.remove("on");
  void light.offsetWidth; // so that the animation starts anew
  light.classList.add("on");
}

// A finished picture takes the sketch's place only when it is decoded: nobody sees a gap.
async function showShot() {
  const wanted = state.picture;
  const next = Object.assign(new Image(), { src: `/shown/${wanted}` });
  try {
    await next.decode();
  } catch {
    return; // a newer one is on its way
  }
  if (state.picture !== wanted) return;
  shot.alt = word("your_picture");
  shot.src = next.src;
  body.dataset.shown = wanted;
  body.dataset.finished = String(state.finished);
  requestAnimationFrame(() => performance.mark(state.finished ? "edgematte:finished" : "edgematte:shown"));
}

function showProblems() {
  const list = document.getElementById("problems");
  const words = state.problems.map((problem) => word(`problem_${problem}`));
  if (words.join() === [...list.children].map((item) => item.textContent).join()) return;
  list.replaceChildren(...words.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

// The latest pictures, on the wall behind the invitation.
async function hangPictures() {
  const wall = document.getElementById("wall");
  if (!settings.gallery) return;
  const { names } = await (await fetch("/api/gallery")).json();
  wall.replaceChildren(
    ...Array.from({ length: names.length ? WALL : 0 }, (_, place) =>
      Object.assign(document.createElement("img"), { alt: "", src: `/thumbnails/${names[place % names.length]}.jpg` }),
    ),
  );
}

addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  if (button.dataset.act === "shoot") press("shoot");
  else act(button.dataset.act);
});

// One big key is enough: space and Enter do what the screen invites to, Escape leaves.
addEventListener("keydown", (event) => {
  if (event.repeat || document.querySelector("dialog[open]") || settings?.scan_s) return;
  const leaves = { countdown: "cancel", record: "cancel", look: "cancel", choose: "done", saved: "done", gallery: "done" };
  if (event.key === "Escape" && leaves[state.step]) act(leaves[state.step]);
  const free = event.target === body || event.target.matches?.("input");
  if ((event.key === " " || event.key === "Enter") && free) {
    event.preventDefault();
    press("press");
  }
});

for (const kind of ["pointerdown", "keydown"])
  addEventListener(kind, () => {
    if (performance.now() - touchedAt < TOUCH_EVERY_MS || !["choose", "review", "saved", "gallery"].includes(state.step)) return;
    touchedAt = performance.now();
    act("touch");
  });

addEventListener("keydown", () => body.classList.add("keys"), { capture: true });
addEventListener("pointerdown", () => body.classList.remove("keys"), { capture: true });
addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch

layOut();
start();
