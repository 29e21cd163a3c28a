// A language's code → its words, on everything that has data-word or data-label.
let words = {};
let spoken = null;

export async function speak(language) {
  if (language === spoken) return;
  words = await (await fetch(`/words/${language}.json`)).json();
  spoken = language;
  document.documentElement.lang = language;
  document.documentElement.dir = words.direction ?? "ltr";
  for (const part of document.querySelectorAll("[data-word]")) part.textContent = word(part.dataset.word, part.dataset.part);
  for (const part of document.querySelectorAll("[data-label]")) part.setAttribute("aria-label", word(part.dataset.label));
}

// {1}, {2} … stand for what is said in between.
export function word(key, ...parts) {
  return (words[key] ?? "").replace(/\{(\d)\}/g, (_, place) => parts[place - 1] ?? "");
}
