// The page of `edgematte touch`: draws the cut-out, sends strokes, and shows the part that each of them changed.

const by = (id) => document.getElementById(id);
const canvas = by("canvas"), stage = by("stage"), said = by("said");
const context = canvas.getContext("2d");
const LEAST_PX = 2, MOST_SHARE = 0.12; // of the brush's radius: in the photo's pixels, and of its long side
const MOST_ZOOM = 16;
const COLOURS = { keep: "#3ddc84", remove: "#ff5d5d", edge: "#7fb8ff" };

let state, photo, cutout, checks; // cutout: a canvas of the photo's size as it is shown
let brush = "keep", view = { scale: 1, x: 0, y: 0 };
let stroke = null; // points of the one that is being drawn, in the photo's pixels
let pen = null, down = false; // the brush's place by keyboard, and whether it draws
let hover = null, comparing = false, painting = false;
const fingers = new Map();
let pinch = null;
let queue = Promise.resolve();

async function start() {
  state = await (await fetch("/api/state")).json();
  by("name").textContent = state.name;
  document.title = `${state.name} – touch up`;
  photo = await createImageBitmap(await (await fetch("/api/photo")).blob());
  cutout = new OffscreenCanvas(state.width, state.height);
  checks = checkerboard();
  await show(await fetch("/api/cutout"));
  fit();
  tell(`${state.own.join(" × ")} pixels; not saved yet.`);
  document.body.dataset.ready = "yes";
}

function tell(words) {
  said.textContent = words;
}

// A change comes as a PNG of the part that is another now, and its place in a header.
async function show(answer) {
  if (!answer.ok) {
    tell(`That failed: ${(await answer.json()).error}`);
    return;
  }
  const about = JSON.parse(answer.headers.get("X-Change"));
  const [left, top, width, height] = about.box;
  if (width) {
    const part = await createImageBitmap(await answer.blob());
    const painter = cutout.getContext("2d");
    painter.clearRect(left, top, width, height);
    painter.drawImage(part, left, top);
  }
  by("undo").disabled = !about.undo;
  by("redo").disabled = !about.redo;
  paint();
}

// One after the other, in the order they were asked for.
function ask(address, body) {
  queue = queue
    .then(async () => show(await fetch(address, { method: "POST", body })))
    .catch(() => tell("The program does not answer; is it still running?"));
  return queue;
}

const radius = () => {
  const most = MOST_SHARE * Math.max(state.width, state.height);
  return LEAST_PX * (most / LEAST_PX) ** (by("size").value / 100);
};

function finish() {
  const points = stroke;
  stroke = null;
  if (!points || !points.length) return;
  const long = Math.max(state.width, state.height);
  const began = performance.now();
  document.body.dataset.busy = "yes";
  ask("/api/stroke", JSON.stringify({
    brush,
    radius: radius() / long,
    points: points.map(([x, y]) => [x / long, y / long]),
  })).then(() => {
    delete document.body.dataset.busy;
    document.body.dataset.strokeMs = Math.round(performance.now() - began);
  });
}

function checkerboard() {
  const tile = new OffscreenCanvas(24, 24), painter = tile.getContext("2d");
  painter.fillStyle = "#d6d6d6";
  painter.fillRect(0, 0, 24, 24);
  painter.fillStyle = "#a8a8a8";
  painter.fillRect(0, 0, 12, 12);
  painter.fillRect(12, 12, 12, 12);
  return context.createPattern(tile, "repeat");
}

function paint() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    draw();
  });
}

function draw() {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(stage.clientWidth * ratio), height = Math.round(stage.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  const { scale, x, y } = view;
  const box = [x * ratio, y * ratio, state.width * scale * ratio, state.height * scale * ratio];
  const behind = stage.dataset.behind;
  context.fillStyle = behind === "checks" ? checks : behind === "colour" ? by("colour").value : behind;
  context.fillRect(...box);
  context.imageSmoothingEnabled = scale * ratio < 3;
  context.imageSmoothingQuality = "high";
  context.drawImage(comparing ? photo : cutout, ...box);
  context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
  if (stroke && stroke.length) {
    context.globalAlpha = 0.55;
    context.strokeStyle = COLOURS[brush];
    context.lineWidth = 2 * radius();
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...stroke[0]);
    for (const point of stroke) context.lineTo(...point);
    context.stroke();
    context.globalAlpha = 1;
  }
  const place = pen || hover;
  if (place && !comparing) {
    for (const [colour, thick] of [["#000", 3], [COLOURS[brush], 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick / scale;
      context.beginPath();
      context.arc(...place, radius(), 0, 2 * Math.PI);
      context.stroke();
    }
  }
}

const inPhoto = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left - view.x) / view.scale, (event.clientY - box.top - view.y) / view.scale];
};

function fit() {
  const scale = Math.min(stage.clientWidth / state.width, stage.clientHeight / state.height);
  const x = (stage.clientWidth - state.width * scale) / 2, y = (stage.clientHeight - state.height * scale) / 2;
  view = { scale, x, y };
  paint();
}

// Around a place of the stage, which stays where it is.
function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const least = Math.min(stage.clientWidth / state.width, stage.clientHeight / state.height) / 2;
  const scale = Math.min(MOST_ZOOM, Math.max(least, view.scale * factor));
  const change = scale / view.scale;
  view = { scale, x: x - (x - view.x) * change, y: y - (y - view.y) * change };
  paint();
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.focus();
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  pen = null;
  if (fingers.size > 1 || event.button === 1) {
    stroke = null; // two fingers zoom and move; what one of them had begun was no stroke
    pinch = gesture();
  } else if (event.button === 0) {
    stroke = [inPhoto(event)];
  }
  paint();
});

canvas.addEventListener("pointermove", (event) => {
  hover = event.pointerType === "touch" ? null : inPhoto(event);
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pinch) {
    const now = gesture(), box = canvas.getBoundingClientRect();
    view.x += now.x - pinch.x;
    view.y += now.y - pinch.y;
    if (pinch.wide && now.wide) zoom(now.wide / pinch.wide, now.x - box.left, now.y - box.top);
    pinch = now;
  } else if (stroke) {
    for (const part of event.getCoalescedEvents?.() || [event]) stroke.push(inPhoto(part));
  }
  paint();
});

for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    if (name === "pointercancel") stroke = null;
    if (pinch) pinch = fingers.size ? gesture() : null;
    else finish();
    paint();
  });
}
canvas.addEventListener("pointerleave", () => {
  hover = null;
  paint();
});
canvas.addEventListener("blur", () => {
  pen = null;
  lift();
});

function gesture() {
  const [[x, y], [x2, y2] = [x, y]] = [...fingers.values()];
  return { x: (x + x2) / 2, y: (y + y2) / 2, wide: Math.hypot(x - x2, y - y2) };
}

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(1.0015 ** -event.deltaY, event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

function lift() {
  down = false;
  finish();
}

// The keyboard draws, too: arrows move the brush, Space puts it down and lifts it.
canvas.addEventListener("keydown", (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!way && event.key !== " ") return;
  event.preventDefault();
  pen = pen || [state.width / 2, state.height / 2];
  if (way) {
    const far = (event.shiftKey ? 4 : 1) * Math.max(2, radius() / 2);
    const within = (value, most) => Math.min(most, Math.max(0, value));
    pen = [within(pen[0] + far * way[0], state.width), within(pen[1] + far * way[1], state.height)];
    if (down) stroke.push(pen);
  } else if (!event.repeat) {
    if (down) lift();
    else {
      down = true;
      stroke = [pen];
    }
    tell(down ? `The brush “${brush}” is down.` : "The brush is lifted.");
  }
  paint();
});

function choose(name) {
  brush = name;
  for (const button of document.querySelectorAll("[data-brush]")) {
    button.setAttribute("aria-pressed", String(button.dataset.brush === name));
  }
  paint();
}

function compare(on) {
  comparing = on;
  by("compare").setAttribute("aria-pressed", String(on));
  paint();
}

async function save() {
  tell("Saving…");
  await queue;
  try {
    const answer = await fetch("/api/save", { method: "POST" });
    const told = await answer.json();
    tell(answer.ok ? `Saved ${told.saved.join(" and ")}.` : `Not saved: ${told.error}`);
  } catch {
    tell("Not saved: the program does not answer; is it still running?");
  }
}

for (const button of document.querySelectorAll("[data-brush]")) {
  button.addEventListener("click", () => choose(button.dataset.brush));
}
const undo = () => by("undo").disabled || ask("/api/undo");
const redo = () => by("redo").disabled || ask("/api/redo");
by("undo").addEventListener("click", undo);
by("redo").addEventListener("click", redo);
by("save").addEventListener("click", save);
by("in").addEventListener("click", () => zoom(1.4));
by("out").addEventListener("click", () => zoom(1 / 1.4));
by("fit").addEventListener("click", fit);
by("size").addEventListener("input", paint);
by("colour").addEventListener("input", paint);
by("behind").addEventListener("change", () => {
  stage.dataset.behind = by("behind").value;
  by("pick").hidden = by("behind").value !== "colour";
  paint();
});
by("compare").addEventListener("pointerdown", () => compare(true));
for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) {
  by("compare").addEventListener(name, () => compare(false));
}
by("compare").addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && compare(true));
by("compare").addEventListener("keyup", () => compare(false));

const KEYS = {
  k: () => choose("keep"), r: () => choose("remove"), e: () => choose("edge"),
  "[": () => resize(-8), "]": () => resize(8),
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: fit, c: () => compare(true),
};
const WITH_CONTROL = { z: undo, y: redo, s: save };

function resize(by_) {
  by("size").value = Number(by("size").value) + by_;
  paint();
}

addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  const act = control ? (event.shiftKey && key === "z" ? redo : WITH_CONTROL[key]) : KEYS[key];
  if (!act) return;
  event.preventDefault();
  act();
});
addEventListener("keyup", (event) => event.key.toLowerCase() === "c" && compare(false));
new ResizeObserver(() => state && cutout && fit()).observe(stage);

start().catch(() => tell("The photo cannot be shown; is the program still running?"));
