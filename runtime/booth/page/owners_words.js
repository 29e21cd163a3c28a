// The owner's language → his pages' words, and the names of what guests choose. The browser keeps what was chosen.
import { speak, word } from "./words.js";

const FROM = "/words/owner";
const KEPT = "language";

// `again` is called after another language was chosen in one of the page's lists.
export async function speakToOwner(again) {
  const languages = await (await fetch("/words")).json();
  const now = (languages.find(({ key }) => key === localStorage.getItem(KEPT)) ?? languages[0]).key;
  for (const list of document.querySelectorAll("select.language")) {
    list.hidden = languages.length < 2;
    list.append(...languages.map(({ key, name }) => Object.assign(new Option(name, key, false, key === now), { lang: key })));
    list.addEventListener("change", async () => {
      localStorage.setItem(KEPT, list.value);
      for (const other of document.querySelectorAll("select.language")) other.value = list.value;
      await speak(list.value, FROM);
      again();
    });
  }
  await speak(now, FROM);
}

export function layoutName(key, label = null) {
  return (label !== null && label !== key ? label : word(`layout_${key}`)) || key;
}

export function backgroundName(key) {
  return word(`background_${key}`) || key;
}

// `mono:background` is an effect, and what it is laid upon.
export function effectName(key) {
  const [plain, part] = key.split(":");
  const name = word(`effect_${plain.replace("-", "_")}`) || plain;
  return part ? word("detail", name, word(`part_${part}`) || part) : name;
}
