// All sheets of the event, newest first → a grid, and one of them large.
import { printSheet } from "./saved.js";
import { word } from "./words.js";

const grid = document.getElementById("pictures");
const older = document.getElementById("older");
const viewer = document.getElementById("viewer");
const viewed = document.getElementById("viewed");
const code = document.getElementById("view-qr");
let names = [];
let moving = new Set();
let sharing = false;
let at = 0;

export async function openGallery(settings) {
  sharing = settings.sharing;
  names = [];
  moving = new Set();
  grid.replaceChildren();
  await loadMore();
  document.getElementById("empty").hidden = names.length > 0;
}

async function loadMore() {
  const page = await (await fetch(`/api/gallery?from=${names.length}`)).json();
  for (const name of page.moving) moving.add(name);
  for (const name of page.names) {
    const index = names.push(name) - 1;
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const picture = Object.assign(document.createElement("img"), { alt: word("picture", index + 1), src: `/thumbnails/${name}.jpg`, loading: "lazy" });
    button.append(picture);
    button.classList.toggle("moving", moving.has(name));
    button.addEventListener("click", () => view(index));
    item.append(button);
    grid.append(item);
  }
  older.hidden = !page.more;
}

function view(index) {
  at = Math.max(0, Math.min(names.length - 1, index));
  viewed.src = `/pictures/${names[at]}.${moving.has(names[at]) ? "webp" : "jpg"}`;
  if (sharing) Object.assign(code, { src: `/qr/${names[at]}.svg`, alt: word("scan") });
  viewed.alt = word("picture", at + 1);
  viewer.setAttribute("aria-label", viewed.alt);
  document.getElementById("previous").disabled = at === 0;
  document.getElementById("next").disabled = at === names.length - 1;
  if (!viewer.open) viewer.showModal();
}

older.addEventListener("click", loadMore);
document.getElementById("previous").addEventListener("click", () => view(at - 1));
document.getElementById("next").addEventListener("click", () => view(at + 1));
document.getElementById("close").addEventListener("click", () => viewer.close());
document.getElementById("view-print").addEventListener("click", () => printSheet(names[at], 1));
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") view(at - 1);
  if (event.key === "ArrowRight") view(at + 1);
});
new MutationObserver(() => {
  if (document.body.dataset.step !== "gallery" && viewer.open) viewer.close();
}).observe(document.body, { attributeFilter: ["data-step"] });
