// The gallery → one picture after the other, new ones first. Ends never; asks for what is new each time round.
import { speak, word } from "./words.js";

const STAYS_MS = 6000;
const RETRY_MS = 3000;
const frames = [document.getElementById("a"), document.getElementById("b")];
const seen = new Set();
let queue = [];
let front = 0;
let language; // the booth's first

async function next() {
  try {
    language ??= (await (await fetch("/words")).json())[0].key;
    await speak(language);
    const { names, moving } = await (await fetch("/api/gallery")).json();
    const fresh = names.filter((name) => !seen.has(name));
    queue = [...fresh, ...queue.filter((name) => names.includes(name) && !fresh.includes(name))];
    if (!queue.length) queue = [...names];
    const name = queue.shift();
    if (!name) return RETRY_MS;
    seen.add(name);
    const back = frames[1 - front];
    back.src = `/pictures/${name}.${moving.includes(name) ? "webp" : "jpg"}`;
    await back.decode();
    back.alt = word("picture", names.indexOf(name) + 1);
    back.classList.add("on");
    frames[front].classList.remove("on");
    frames[front].alt = "";
    front = 1 - front;
    document.body.dataset.shown = name;
    return STAYS_MS;
  } catch {
    return RETRY_MS; // the booth is starting, or the picture was deleted this moment
  }
}

for (;;) {
  const pause = await next();
  await new Promise((go) => setTimeout(go, pause));
}
