// What there is to choose → tiles, tabs and languages.
import { act } from "./act.js";

const FEW = 5; // languages that stand side by side
let now; // gives the latest state

export function buildChoices(settings, state) {
  now = state;
  buildBackgrounds(settings.backgrounds);
  buildLayouts(settings.layouts);
  buildEffects(settings.effects);
  buildLanguages(settings.languages);
  for (const [tab, count] of [["backgrounds", settings.backgrounds.length], ["layouts", settings.layouts.length], ["effects", settings.effects.length]])
    document.querySelector(`[data-tab="${tab}"]`).dataset.off = String(count < 2);
  for (const button of document.querySelectorAll("[data-tab]")) button.addEventListener("click", () => openTab(button.dataset.tab));
}

export function openTab(tab) {
  for (const button of document.querySelectorAll("[data-tab]")) {
    const open = button.dataset.tab === tab;
    button.setAttribute("aria-pressed", String(open));
    document.getElementById(button.dataset.tab).hidden = !open;
  }
  document.querySelector(`#${tab} input:checked`)?.closest("label").scrollIntoView({ block: "nearest", inline: "nearest" });
}

export function mark(group, value) {
  const input = [...document.querySelectorAll(`#${group}s input`)].find((one) => one.value === value);
  if (input && !input.checked) {
    input.checked = true;
    input.closest("label").scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

export function markLanguage(language) {
  for (const button of document.querySelectorAll("#languages button[value]")) button.setAttribute("aria-pressed", String(button.value === language));
}

function choice(group, value, inside) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: group, value });
  input.addEventListener("change", async () => {
    if (!(await act(group, value))) mark(group, now()[group]);
  });
  label.append(input, ...inside);
  return label;
}

function face(kind, source) {
  const part = document.createElement("span");
  part.className = `face ${kind}`;
  if (source) part.append(Object.assign(document.createElement("img"), { alt: "", src: source }));
  return part;
}

function named(text, wordKey, filling) {
  const name = Object.assign(document.createElement("span"), { className: "label", textContent: text });
  if (wordKey) name.dataset.word = wordKey;
  if (filling) name.dataset.part = filling;
  return name;
}

function buildBackgrounds(backgrounds) {
  const tiles = document.querySelector("#backgrounds .tiles");
  let colours = 0;
  for (const { key, kind, label } of backgrounds) {
    const seen = face(kind, kind === "picture" || kind === "video" ? `/backgrounds/${encodeURIComponent(key)}` : null);
    if (kind === "colour") seen.style.background = key;
    const own = kind === "none" || kind === "blur";
    const name = own ? named("", `background_${kind}`) : kind === "colour" ? named("", "background_colour", ++colours) : named(label);
    tiles.append(choice("background", key, [seen, name]));
  }
}

function buildLayouts(layouts) {
  const tiles = document.querySelector("#layouts .tiles");
  for (const { key, label, moving } of layouts) {
    const seen = face(moving ? "sheet moving" : "sheet", `/layouts/${encodeURIComponent(key)}`);
    tiles.append(choice("layout", key, [seen, label === null || label === key ? named("", `layout_${key}`) : named(label)]));
  }
}

function buildEffects(effects) {
  const tiles = document.querySelector("#effects .tiles");
  for (const { key, label, part } of effects) {
    const plain = key.split(":")[0];
    const name = plain.endsWith(".cube") ? named(label) : named("", `effect_${plain.replace("-", "_")}`);
    const inside = [face("effect", `/effects/${encodeURIComponent(key)}`), name];
    if (part !== "picture") inside.push(named("", `part_${part}`));
    tiles.append(choice("effect", key, inside));
  }
}

function buildLanguages(languages) {
  const group = document.getElementById("languages");
  group.dataset.off = String(languages.length < 2);
  group.classList.toggle("many", languages.length > FEW);
  const open = Object.assign(document.createElement("button"), { type: "button", className: "open" });
  open.innerHTML = '<svg aria-hidden="true" viewBox="0 0 64 64"><use href="/page/icons.svg#language"></use></svg>';
  open.dataset.label = "languages";
  open.setAttribute("aria-expanded", "false");
  const show = (wide) => {
    group.classList.toggle("wide", wide);
    open.setAttribute("aria-expanded", String(wide));
  };
  open.addEventListener("click", () => show(!group.classList.contains("wide")));
  group.append(open);
  for (const { key, name } of languages) {
    const button = Object.assign(document.createElement("button"), { type: "button", value: key, textContent: languages.length > FEW ? name : key.toUpperCase() });
    button.setAttribute("aria-label", languages.length > FEW ? name : `${key.toUpperCase()} ${name}`);
    button.lang = key;
    button.addEventListener("click", () => {
      show(false);
      act("language", key);
    });
    group.append(button);
  }
}
