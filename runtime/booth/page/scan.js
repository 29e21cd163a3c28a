// One switch: what can be chosen is lit in turn, and the switch takes what is lit. Groups first, then what is in one.
const ROUNDS = 2; // through a group, before it is left again
let lit = null;
let within = null; // the group that was entered
let left = 0; // steps until it is left
let pause_ms;
let timer = null;

export function scan(interval_ms) {
  pause_ms = interval_ms;
  document.body.classList.add("scanning");
  addEventListener("keydown", (event) => {
    if (event.repeat || !(event.key === " " || event.key === "Enter")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    select();
  }, { capture: true });
  wait();
}

// The switch was pressed, on the keyboard or on the board's pins.
export function select() {
  if (!timer) return document.querySelector("[data-first]:not([hidden])")?.click();
  if (!lit || !seen(lit)) return step();
  const inside = controls(lit);
  if (lit.matches("[data-group]") && !lit.matches("button") && inside.length > 1) {
    within = lit;
    left = inside.length * ROUNDS;
    light(inside[0]);
  } else {
    const target = inside[0] ?? lit;
    within = null;
    light(null);
    target.click();
  }
  wait();
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    step();
    wait();
  }, pause_ms);
}

function step() {
  if (within && (!seen(within) || left-- <= 0)) within = null;
  const all = within ? controls(within) : groups();
  if (all.length) light(all[(all.indexOf(lit) + 1) % all.length]);
}

function groups() {
  const room = document.querySelector("dialog[open]") ?? document;
  return [...room.querySelectorAll("[data-group]")].filter((group) => seen(group) && controls(group).length);
}

function controls(group) {
  if (group.matches("button")) return group.disabled ? [] : [group];
  return [...group.querySelectorAll("button:not(:disabled), input:not(:disabled)")].filter((one) => seen(one.closest("label") ?? one));
}

function seen(one) {
  return one.isConnected && one.getClientRects().length > 0;
}

function light(one) {
  (lit?.closest("label") ?? lit)?.classList.remove("lit");
  lit = one;
  const shown = one?.closest("label") ?? one;
  shown?.classList.add("lit");
  shown?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (one?.matches("button, input")) one.focus({ preventScroll: true });
}
