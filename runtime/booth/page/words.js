// A language's code → its words, on everything that has data-word or data-label.
let words = {};
let spoken = null;

// `from`: the guests' words, or /words/owner for those and the owner's.
export async function speak(language, from = "/words") {
  if (language === spoken) return;
  words = await (await fetch(`${from}/${language}.json`)).json();
  spoken = language;
  document.documentElement.lang = language;
  document.documentElement.dir = words.direction ?? "ltr";
  for (const part of document.querySelectorAll("[data-word]")) part.textContent = word(part.dataset.word, part.dataset.part);
  for (const part of document.querySelectorAll("[data-label]")) part.setAttribute("aria-label", word(part.dataset.label));
}

// {1}, {2} … stand for what is said in between. From right to left, each keeps its own direction: a path stays a path.
export function word(key, ...parts) {
  const [before, after] = words.direction === "rtl" ? ["\u2068", "\u2069"] : ["", ""];
  return (words[key] ?? "").replace(/\{(\d)\}/g, (_, place) => `${before}${parts[place - 1] ?? ""}${after}`);
}
