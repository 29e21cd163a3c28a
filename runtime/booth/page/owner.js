// What the owner may see and do. The device checks each value as it is typed; booth.toml is written when it is right.
const LOOK_MS = 1500;
const TYPED_MS = 350;
const inside = document.getElementById("inside");
const told = document.getElementById("told");
const NAMES = {
  title: "Event's name", text: "Text on pictures", layouts: "Layouts", effects: "Effects", countdown_s: "Countdown, seconds",
  gallery: "Guests may see all pictures", colours: "Background colours", blur: "Blurred room", real: "Room as it is", first: "First background",
  boomerang_s: "Boomerang, seconds", clip_s: "Clip, seconds", languages: "Languages", accent: "Colour of buttons", idle_s: "Seconds until the next guests",
  contrast: "Contrast", scan_s: "One switch: seconds a step (empty: off)", rotate: "Turn the picture, degrees", crop: "Part that is used", mirror: "Guests see themselves as in a mirror",
  enabled: "Printing", printer: "Printer's name (empty: the default)", options: "Printer's options", most_copies: "Copies at most", max_pages: "Pages from one load of paper (empty: not counted)",
  warn_mb: "Warn below, megabytes", stop_mb: "Stop below, megabytes",
};
let room = "event";
let latest = null;
let names = [];
let timer = null;

for (const digit of "123456789⌫0") {
  const key = Object.assign(document.createElement("button"), { type: "button", textContent: digit });
  if (digit === "⌫") key.setAttribute("aria-label", "Delete a digit");
  key.addEventListener("click", () => {
    const pin = document.getElementById("pin");
    pin.value = digit === "⌫" ? pin.value.slice(0, -1) : pin.value + digit;
  });
  document.getElementById("keys").append(key);
}

async function send(address, content) {
  const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
  return answer.ok ? null : (await answer.json()).error;
}

document.getElementById("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const pin = document.getElementById("pin");
  const refused = await send("/owner/enter", { pin: pin.value });
  document.getElementById("refused").textContent = refused ?? "";
  pin.value = "";
  if (refused === null) look();
});

document.getElementById("leave").addEventListener("click", async () => {
  await send("/owner/leave", {});
  location.reload();
});

async function look() {
  clearTimeout(timer);
  try {
    const answer = await fetch("/owner/state");
    if (answer.status === 401) return shut();
    const state = await answer.json();
    const first = latest === null;
    latest = state;
    document.getElementById("door").hidden = true;
    inside.hidden = false;
    if (first) build();
    show();
  } catch {
    told.textContent = "The booth is starting anew …";
  }
  timer = setTimeout(look, LOOK_MS);
}

function shut() {
  inside.hidden = true;
  document.getElementById("door").hidden = false;
  latest = null;
}

function build() {
  for (const box of document.querySelectorAll("[data-settings]")) box.replaceChildren(...latest.settings[box.dataset.settings].map(field));
  openRoom(room);
}

function field({ key, value, kind, low, high, words, expected }) {
  const box = Object.assign(document.createElement("div"), { className: "setting" });
  const name = NAMES[key.split(".").at(-1)] ?? key;
  const why = Object.assign(document.createElement("p"), { className: "why", id: `why-${key}` });
  let input;
  if (kind === "tuple" && words) {
    input = Object.assign(document.createElement("fieldset"), { className: "ticks" });
    input.append(Object.assign(document.createElement("legend"), { textContent: "" }));
    for (const word of words) {
      const label = document.createElement("label");
      const tick = Object.assign(document.createElement("input"), { type: "checkbox", value: word, checked: value.includes(word) });
      label.append(tick, word);
      input.append(label);
    }
    input.setAttribute("aria-label", name);
  } else if (kind === "bool") input = Object.assign(document.createElement("input"), { type: "checkbox", checked: value });
  else if (words) {
    input = document.createElement("select");
    for (const word of key.endsWith("first") ? ["", ...words] : words) input.append(new Option(word, word, false, String(value ?? "") === word));
  } else if (key === "pictures.text") input = Object.assign(document.createElement("textarea"), { value });
  else input = Object.assign(document.createElement("input"), { type: "text", value: kind === "tuple" ? value.join(", ") : value ?? "", inputMode: kind === "int" || kind === "float" ? "decimal" : "text" });
  input.id = key;
  input.setAttribute("aria-describedby", why.id);
  const label = document.createElement(kind === "tuple" && words ? "span" : "label");
  if (label.tagName === "LABEL") label.htmlFor = key;
  label.append(name, Object.assign(document.createElement("span"), { className: "key", textContent: key }));
  box.append(label, input, why);
  const hint = low === undefined ? "" : `${low} to ${high}`;
  why.textContent = hint || (kind === "tuple" && !words && expected ? `separated by commas; each ${expected}` : "");
  why.dataset.hint = why.textContent;
  let typing = null;
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => store(key, input, kind, why, true), TYPED_MS);
  });
  input.addEventListener("change", () => {
    clearTimeout(typing);
    store(key, input, kind, why, false);
  });
  return box;
}

function valueOf(input, kind) {
  if (input.tagName === "FIELDSET") return [...input.querySelectorAll(":checked")].map((tick) => tick.value);
  if (input.type === "checkbox") return input.checked;
  const text = input.value.trim();
  if (kind === "tuple") return text.split(",").map((word) => word.trim()).filter(Boolean);
  if (text === "") return input.id === "pictures.text" || input.id === "title" ? "" : null;
  if (kind === "int" || kind === "float") return Number.isNaN(Number(text.replace(",", "."))) ? text : Number(text.replace(",", "."));
  return input.tagName === "TEXTAREA" ? input.value : text;
}

async function store(key, input, kind, why, onlyTry) {
  const refused = await send("/owner/set", { key, value: valueOf(input, kind), try: onlyTry });
  why.textContent = refused ?? (onlyTry ? why.dataset.hint : "written to booth.toml");
  why.classList.toggle("wrong", refused !== null);
  input.setAttribute("aria-invalid", String(refused !== null));
  if (!onlyTry) look();
}

function list(id, pairs) {
  const box = document.getElementById(id);
  const parts = pairs.flatMap(([what, value]) => [Object.assign(document.createElement("dt"), { textContent: what }), Object.assign(document.createElement("dd"), { textContent: value })]);
  if (box.textContent !== parts.map((part) => part.textContent).join("")) box.replaceChildren(...parts);
}

function table(id, rows) {
  const box = document.getElementById(id);
  for (const row of [...box.rows]) row.remove();
  for (const [what, count] of rows) {
    const row = box.insertRow();
    row.insertCell().textContent = what;
    row.insertCell().textContent = count;
  }
}

function show() {
  const { booth, printer, disk, statistics, targets, unapplied, broken } = latest;
  const waits = document.getElementById("unapplied");
  waits.hidden = unapplied.length === 0;
  waits.firstElementChild.textContent = `Counts after the next start: ${unapplied.join(", ")}`;
  if (told.textContent.startsWith("The booth is starting")) told.textContent = "";
  const bad = document.getElementById("broken");
  const lines = broken.map((line) => `Left out: ${line}`);
  if (bad.textContent !== lines.join("")) bad.replaceChildren(...lines.map((textContent) => Object.assign(document.createElement("p"), { textContent })));
  list("printer", [
    ["State", printer.said ?? (printer.waiting ? "printing" : "ready")],
    ["Waiting", printer.waiting],
    ["Printed since new paper", printer.printed],
    ["Paper left", printer.left ?? "not counted (max_pages)"],
  ]);
  list("counts", [["Pictures", statistics.sheets], ["Taken again", statistics.retaken], ["Pages printed", statistics.prints], ["Now", booth.step], ["Trouble", booth.problems.join(", ") || "none"]]);
  const most = Math.max(1, ...statistics.hours.map(([, count]) => count));
  const hours = document.getElementById("hours");
  hours.setAttribute("aria-label", `Pictures by the hour: ${statistics.hours.map(([hour, count]) => `${hour.slice(11)} o'clock ${count}`).join(", ") || "none"}`);
  hours.replaceChildren(
    ...statistics.hours.slice(-24).map(([hour, count]) => {
      const bar = document.createElement("div");
      bar.style.height = `${(100 * count) / most}%`;
      bar.append(Object.assign(document.createElement("b"), { textContent: count }), Object.assign(document.createElement("span"), { textContent: hour.slice(11) }));
      return bar;
    }),
  );
  for (const id of ["layouts", "backgrounds", "effects"]) table(id, statistics[id]);
  list("disk", [["Free", `${(disk.free / 1e9).toFixed(1)} of ${(disk.total / 1e9).toFixed(1)} GB`]]);
  showExport(targets);
}

function showExport(targets) {
  const { running, done, files, bytes_done, bytes, faults, ended, target } = latest.export;
  const box = document.getElementById("targets");
  const wanted = running ? ["stop"] : targets;
  if (box.dataset.wanted !== wanted.join()) {
    box.dataset.wanted = wanted.join();
    const buttons = wanted.map((place) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: running ? "Stop" : `Copy to ${place}` });
      button.addEventListener("click", () => act(running ? "stop-export" : "export", place));
      return button;
    });
    box.replaceChildren(...(buttons.length ? buttons : ["No stick is plugged in."]));
  }
  const bar = document.getElementById("export");
  bar.hidden = !running && ended === null;
  bar.value = bytes ? bytes_done / bytes : running ? 0 : 1;
  const text = running
    ? `${done} of ${files} files copied and compared`
    : ended === "whole"
      ? `All ${files} files are on ${target}, read back and compared.`
      : ended
        ? `Export to ${target}: ${ended}. ${done} of ${files} files are there. ${faults.slice(0, 3).join("; ")}`
        : "";
  const said = document.getElementById("exported");
  if (said.textContent !== text) said.textContent = text;
}

async function act(what, value = "") {
  const refused = await send("/owner/act", { what, value });
  const done = { resume: "The queue was started again.", refill: "Pages are counted anew.", test: "The test page is on its way.", restart: "The booth is starting anew …", power: "The device shuts down." };
  told.textContent = refused ?? done[what] ?? "";
  look();
  return refused === null;
}

function ask(question) {
  const sure = document.getElementById("sure");
  sure.querySelector("p").textContent = question;
  sure.showModal();
  return new Promise((answer) => {
    const close = (yes) => () => {
      sure.close();
      answer(yes);
    };
    document.getElementById("yes").onclick = close(true);
    document.getElementById("no").onclick = sure.oncancel = close(false);
  });
}

function openRoom(wanted) {
  room = wanted;
  for (const button of document.querySelectorAll("nav [data-room]")) button.setAttribute("aria-pressed", String(button.dataset.room === room));
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== room;
  if (room === "camera") followCamera();
  if (room === "pictures") openGallery();
}

let following = false;
async function followCamera() {
  if (following) return;
  following = true;
  const canvas = document.getElementById("live");
  const pen = canvas.getContext("2d");
  let after = 0;
  while (room === "camera" && latest) {
    const answer = await fetch(`/owner/frame?after=${after}`).catch(() => null);
    if (answer?.status !== 200) {
      await new Promise((go) => setTimeout(go, 500));
      continue;
    }
    after = answer.headers.get("X-Number");
    const picture = await createImageBitmap(await answer.blob());
    Object.assign(canvas, { width: picture.width, height: picture.height });
    pen.drawImage(picture, 0, 0);
    picture.close();
    canvas.dataset.frames = Number(canvas.dataset.frames ?? 0) + 1;
    canvas.classList.toggle("mirrored", latest?.settings.camera.find(({ key }) => key === "camera.mirror").value ?? false);
  }
  following = false;
}

function moved([left, top, width, height], how) {
  const step = 0.05;
  if (how === "whole") return [0, 0, 1, 1];
  const scale = how === "in" ? 0.9 : how === "out" ? 1 / 0.9 : 1;
  const [wide, high] = [Math.min(1, Math.max(0.15, width * scale)), Math.min(1, Math.max(0.15, height * scale))];
  const x = left + (width - wide) / 2 + (how === "left" ? -step : how === "right" ? step : 0);
  const y = top + (height - high) / 2 + (how === "up" ? -step : how === "down" ? step : 0);
  return [Math.min(1 - wide, Math.max(0, x)), Math.min(1 - high, Math.max(0, y)), wide, high];
}

for (const button of document.querySelectorAll("[data-move]"))
  button.addEventListener("click", async () => {
    const input = document.getElementById("camera.crop");
    const next = moved(input.value.split(",").map(Number), button.dataset.move);
    input.value = next.map((share) => Number(share.toFixed(3))).join(",");
    input.dispatchEvent(new Event("change"));
  });

async function openGallery() {
  names = [];
  document.getElementById("gallery").replaceChildren();
  await older();
}

async function older() {
  const page = await (await fetch(`/owner/gallery?from=${names.length}`)).json();
  names.push(...page.names);
  document.getElementById("older").hidden = !page.more;
  for (const name of page.names) {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Delete" });
    button.setAttribute("aria-label", `Delete ${name}`);
    button.addEventListener("click", async () => {
      if ((await ask("Delete this picture, its original and its films?")) && (await act("delete", name))) item.remove();
    });
    item.append(Object.assign(document.createElement("img"), { alt: name, src: `/owner/thumbnails/${name}.jpg`, loading: "lazy" }), button);
    document.getElementById("gallery").append(item);
  }
}

document.getElementById("older").addEventListener("click", older);
for (const button of document.querySelectorAll("nav [data-room]")) button.addEventListener("click", () => openRoom(button.dataset.room));
for (const button of document.querySelectorAll("[data-act]"))
  button.addEventListener("click", async () => {
    if (!button.dataset.sure || (await ask(button.dataset.sure))) act(button.dataset.act);
  });
look();
