// Each layout with sample pictures, large; beside its name the word that booth.toml has for it.
import { layoutName, speakToOwner } from "./owners_words.js";
import { word } from "./words.js";

const { layouts } = await (await fetch("/api/settings")).json();

function show() {
  const figures = layouts.map(({ key, label }) => {
    const name = layoutName(key, label);
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.append(name, Object.assign(document.createElement("span"), { className: "key", textContent: key }));
    const sample = document.createElement("img");
    Object.assign(sample, { alt: word("sample", name), src: `/layouts/${encodeURIComponent(key)}?large=1` });
    figure.append(sample, caption);
    return figure;
  });
  document.getElementById("sheets").replaceChildren(...figures);
}

await speakToOwner(show);
show();
