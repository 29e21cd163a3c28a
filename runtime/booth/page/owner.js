// What the owner may see and do. The device checks each value as it is typed; booth.toml is written when it is right.
import { backgroundName, effectName, layoutName, speakToOwner } from "./owners_words.js";
import { word } from "./words.js";

const LOOK_MS = 1500;
const TYPED_MS = 350;
const inside = document.getElementById("inside");
const told = document.getElementById("told");
let room = "event";
let latest = null;
let names = [];
let timer = null;
let away = false; // the booth does not answer

for (const digit of "123456789⌫0") {
  const key = Object.assign(document.createElement("button"), { type: "button", textContent: digit });
  if (digit === "⌫") key.dataset.label = "digit_back";
  key.addEventListener("click", () => {
    const pin = document.getElementById("pin");
    pin.value = digit === "⌫" ? pin.value.slice(0, -1) : pin.value + digit;
  });
  document.getElementById("keys").append(key);
}

// What is wrong, in the owner's words where they are ours; null: nothing.
async function send(address, content) {
  const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
  if (answer.ok) return null;
  const { error, word: key, parts } = await answer.json();
  return word(`refused_${key}`, ...(parts ?? [])) || error;
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
    if (answer.status === 401) {
      if (latest) location.reload(); // the booth was started anew, or nobody was here for an hour
      return;
    }
    const state = await answer.json();
    const first = latest === null;
    latest = state;
    document.getElementById("door").hidden = true;
    inside.hidden = false;
    if (first) build();
    show();
  } catch {
    away = true;
    told.textContent = word("did_restart");
  }
  timer = setTimeout(look, LOOK_MS);
}

function build() {
  for (const box of document.querySelectorAll("[data-settings]")) box.replaceChildren(...latest.settings[box.dataset.settings].map(field));
  openRoom(room);
}

// `camera.crop`
function nameOf(key) {
  return word(`set_${key.replaceAll(".", "_")}`);
}

// One of the words that a setting may have.
function valueName(key, value) {
  if (key === "pictures.layouts") return layoutName(value);
  if (key === "backgrounds.first") return backgroundName(value);
  return word(`${key.replaceAll(".", "_")}_${value}`) || value;
}

function hintOf({ key, kind, low, high, words }) {
  const range = low === undefined ? "" : word("range", low, high);
  return [range, kind === "tuple" && !words ? word("list") : "", word(`empty_${key.replaceAll(".", "_")}`)].filter(Boolean).join(" · ");
}

function field(setting) {
  const { key, value, kind, words } = setting;
  const box = Object.assign(document.createElement("div"), { className: "setting" });
  const name = nameOf(key);
  const hint = hintOf(setting);
  const why = Object.assign(document.createElement("p"), { className: "why", id: `why-${key}`, dir: "auto", textContent: hint });
  let input;
  if (kind === "tuple" && words) {
    input = Object.assign(document.createElement("fieldset"), { className: "ticks" });
    input.append(Object.assign(document.createElement("legend"), { textContent: "" }));
    for (const one of words) {
      const label = document.createElement("label");
      const tick = Object.assign(document.createElement("input"), { type: "checkbox", value: one, checked: value.includes(one) });
      label.append(tick, valueName(key, one));
      input.append(label);
    }
    input.setAttribute("aria-label", name);
  } else if (kind === "bool") input = Object.assign(document.createElement("input"), { type: "checkbox", checked: value });
  else if (words) {
    input = document.createElement("select");
    for (const one of key === "backgrounds.first" ? ["", ...words] : words) input.append(Object.assign(new Option(valueName(key, one), one, false, String(value ?? "") === one), { dir: "auto" }));
  } else if (key === "pictures.text") input = Object.assign(document.createElement("textarea"), { value });
  else input = Object.assign(document.createElement("input"), { type: "text", value: kind === "tuple" ? value.join(", ") : value ?? "", inputMode: kind === "int" || kind === "float" ? "decimal" : "text" });
  input.id = key;
  if (input.type === "text" || input.tagName === "TEXTAREA") input.dir = "auto";
  input.setAttribute("aria-describedby", why.id);
  const label = document.createElement(kind === "tuple" && words ? "span" : "label");
  if (label.tagName === "LABEL") label.htmlFor = key;
  label.append(name, Object.assign(document.createElement("span"), { className: "key", textContent: key }));
  box.append(label, input, why);
  let typing = null;
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => store(key, input, kind, why, hint), TYPED_MS);
  });
  input.addEventListener("change", () => {
    clearTimeout(typing);
    store(key, input, kind, why, null);
  });
  return box;
}

function valueOf(input, kind) {
  if (input.tagName === "FIELDSET") return [...input.querySelectorAll(":checked")].map((tick) => tick.value);
  if (input.type === "checkbox") return input.checked;
  const text = input.value.trim();
  if (kind === "tuple") return text.split(",").map((one) => one.trim()).filter(Boolean);
  if (text === "") return input.id === "pictures.text" || input.id === "title" ? "" : null;
  if (kind === "int" || kind === "float") return Number.isNaN(Number(text.replace(",", "."))) ? text : Number(text.replace(",", "."));
  return input.tagName === "TEXTAREA" ? input.value : text;
}

// `hint`: the value is only tried, and this is said where it may be.
async function store(key, input, kind, why, hint) {
  const refused = await send("/owner/set", { key, value: valueOf(input, kind), try: hint !== null });
  why.textContent = refused ?? hint ?? word("written");
  why.classList.toggle("wrong", refused !== null);
  input.setAttribute("aria-invalid", String(refused !== null));
  if (hint === null) look();
}

function list(id, pairs) {
  const box = document.getElementById(id);
  const parts = pairs.flatMap(([what, value]) => [Object.assign(document.createElement("dt"), { textContent: what }), Object.assign(document.createElement("dd"), { textContent: value })]);
  if (box.textContent !== parts.map((part) => part.textContent).join("")) box.replaceChildren(...parts);
}

function table(id, rows, nameOne) {
  const box = document.getElementById(id);
  for (const row of [...box.rows]) row.remove();
  for (const [what, count] of rows) {
    const row = box.insertRow();
    row.insertCell().append(Object.assign(document.createElement("bdi"), { textContent: nameOne(what) }));
    row.insertCell().textContent = count;
  }
}

// What is wrong, with the print system's own words; that all pages are printed is no sentence of that system.
function stateOf({ trouble, said, waiting }) {
  if (!trouble) return waiting ? word("prints") : word("ready");
  const name = word(`printer_${trouble}`);
  return trouble === "pages" ? name : word("detail", name, said);
}

function show() {
  const { booth, printer, disk, statistics, targets, unapplied, broken } = latest;
  const waits = document.getElementById("unapplied");
  waits.hidden = unapplied.length === 0;
  waits.firstElementChild.textContent = word("after_restart", unapplied.map(nameOf).join(word("comma")));
  if (away) told.textContent = "";
  away = false;
  const bad = document.getElementById("broken");
  const lines = broken.map((line) => word("left_out", line));
  if (bad.textContent !== lines.join("")) bad.replaceChildren(...lines.map((textContent) => Object.assign(document.createElement("p"), { textContent })));
  list("printer", [
    [word("state"), stateOf(printer)],
    [word("waiting"), printer.waiting],
    [word("since_refill"), printer.printed],
    [word("paper_left"), printer.left ?? word("not_counted")],
  ]);
  const troubles = booth.problems.map((problem) => word(`trouble_${problem}`)).join(word("comma"));
  list("counts", [[word("pictures"), statistics.sheets], [word("taken_again"), statistics.retaken], [word("pages_printed"), statistics.prints], [word("now"), word(`step_${booth.step}`)], [word("trouble"), troubles || word("none")]]);
  const most = Math.max(1, ...statistics.hours.map(([, count]) => count));
  const hours = document.getElementById("hours");
  hours.setAttribute("aria-label", word("by_hour", statistics.hours.map(([hour, count]) => word("at_hour", hour.slice(11), count)).join(word("comma")) || word("none")));
  hours.replaceChildren(
    ...statistics.hours.slice(-24).map(([hour, count]) => {
      const bar = document.createElement("div");
      bar.style.height = `${(100 * count) / most}%`;
      bar.append(Object.assign(document.createElement("b"), { textContent: count }), Object.assign(document.createElement("span"), { textContent: hour.slice(11) }));
      return bar;
    }),
  );
  table("layouts", statistics.layouts, (key) => layoutName(key));
  table("backgrounds", statistics.backgrounds, backgroundName);
  table("effects", statistics.effects, effectName);
  list("disk", [[word("free"), word("free_gb", ...[disk.free, disk.total].map((bytes) => (bytes / 1e9).toFixed(1)))]]);
  document.getElementById("following").textContent = word(`following_${latest.following}`);
  document.querySelector("[data-act=everybody]").hidden = latest.following === "everybody";
  showExport(targets);
}

function showExport(targets) {
  const { running, done, files, bytes_done, bytes, faults, ended, why, target } = latest.export;
  const box = document.getElementById("targets");
  const wanted = running ? ["stop"] : targets;
  const sign = [document.documentElement.lang, ...wanted].join();
  if (box.dataset.wanted !== sign) {
    box.dataset.wanted = sign;
    const buttons = wanted.map((place) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: running ? word("stop") : word("copy_to", place) });
      button.addEventListener("click", () => act(running ? "stop-export" : "export", place));
      return button;
    });
    box.replaceChildren(...(buttons.length ? buttons : [word("no_stick")]));
  }
  const bar = document.getElementById("export");
  bar.hidden = !running && ended === null;
  bar.value = bytes ? bytes_done / bytes : running ? 0 : 1;
  const lines = running ? [word("copying", done, files)] : ended ? [word(`export_${ended}`, ...why)] : [];
  if (ended && ended !== "whole") lines.push(word("there", done, files, target));
  for (const [file, fault] of faults.slice(0, 3)) lines.push(word("fault", file, word(`fault_${fault}`) || fault));
  const text = lines.join("\n");
  const said = document.getElementById("exported");
  if (said.textContent !== text) said.textContent = text;
}

async function act(what, value = "") {
  const refused = await send("/owner/act", { what, value });
  told.textContent = refused ?? word(`did_${what}`);
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

function mirrored() {
  return latest?.settings.camera.find(({ key }) => key === "camera.mirror").value ?? false;
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
    canvas.classList.toggle("mirrored", mirrored());
  }
  following = false;
}

document.getElementById("live").addEventListener("click", ({ clientX, clientY, target }) => {
  const { left, top, width, height } = target.getBoundingClientRect();
  const across = (clientX - left) / width;
  const point = [mirrored() ? 1 - across : across, (clientY - top) / height];
  act("follow", point.map((share) => Math.min(1, Math.max(0, share)).toFixed(3)).join());
});

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
    const how = button.dataset.move;
    const next = moved(input.value.split(",").map(Number), (mirrored() && { left: "right", right: "left" }[how]) || how);
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
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: word("delete") });
    button.setAttribute("aria-label", word("delete_one", name));
    button.addEventListener("click", async () => {
      if ((await ask(word("delete_all"))) && (await act("delete", name))) item.remove();
    });
    item.append(Object.assign(document.createElement("img"), { alt: name, src: `/owner/thumbnails/${name}.jpg`, loading: "lazy" }), button);
    document.getElementById("gallery").append(item);
  }
}

document.getElementById("older").addEventListener("click", older);
for (const button of document.querySelectorAll("nav [data-room]")) button.addEventListener("click", () => openRoom(button.dataset.room));
for (const button of document.querySelectorAll("[data-act]"))
  button.addEventListener("click", async () => {
    if (!button.dataset.sure || (await ask(word(button.dataset.sure)))) act(button.dataset.act);
  });
// In the local network only this page can be had.
for (const link of document.querySelectorAll("a")) fetch(link.href, { method: "HEAD" }).then(({ ok }) => (link.hidden = !ok), () => {});

await speakToOwner(() => {
  document.getElementById("refused").textContent = told.textContent = "";
  if (!latest) return;
  build();
  show();
});
look();
