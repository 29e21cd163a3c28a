// A saved sheet → its QR code, copies, deleting, and what the printer says.
import { act } from "./act.js";
import { word } from "./words.js";

const PRINT_AGAIN_MS = 4000; // an impatient finger must not use up the paper
const qr = document.getElementById("qr");
const output = document.getElementById("copies");
const printers = document.querySelectorAll("#print, #view-print");
const sure = document.getElementById("sure");
let name = null;
let copies = 1;
let most = 1;
let asked = false;
let queue = { waiting: 0, trouble: null, said: null };

export function showSaved(state, settings) {
  most = settings.mostCopies;
  if (state.step === "idle") asked = false;
  if (state.name !== name) {
    name = state.name;
    asked = false;
    setCopies(1);
    qr.removeAttribute("src");
  }
  // The sheet is counted once it is on the disk; before, there is nothing to fetch.
  if (name && settings.sharing && !qr.getAttribute("src")) fetchCode(name);
  queue = state.queue;
  showQueue();
}

export function printSheet(wanted, count) {
  asked = true;
  act("print", `${wanted}*${count}`);
  for (const button of printers) button.disabled = true;
  setTimeout(() => {
    for (const button of printers) button.disabled = false;
  }, PRINT_AGAIN_MS);
}

function showQueue() {
  const { waiting, trouble, said } = queue;
  const why = trouble && (word(`printer_${trouble}`) || said);
  const text = trouble ? word("printer_trouble", why) : waiting ? word("printing", waiting) : asked ? word("printed") : "";
  for (const part of document.querySelectorAll(".queue")) {
    if (part.textContent !== text) part.textContent = text;
    part.classList.toggle("wrong", Boolean(trouble));
  }
}

async function fetchCode(wanted) {
  const answer = await fetch(`/qr/${wanted}.svg`);
  if (!answer.ok || wanted !== name || qr.getAttribute("src")) return;
  qr.alt = word("scan");
  qr.src = `/qr/${wanted}.svg`;
}

function setCopies(count) {
  copies = Math.max(1, Math.min(most, count));
  output.textContent = copies;
  document.getElementById("fewer").disabled = copies === 1;
  document.getElementById("more").disabled = copies === most;
}

document.getElementById("fewer").addEventListener("click", () => setCopies(copies - 1));
document.getElementById("more").addEventListener("click", () => setCopies(copies + 1));
document.getElementById("print").addEventListener("click", () => printSheet(name, copies));
document.getElementById("delete").addEventListener("click", () => sure.showModal());
document.getElementById("sure-no").addEventListener("click", () => sure.close());
document.getElementById("sure-yes").addEventListener("click", () => {
  sure.close();
  act("delete", name ?? "");
});
