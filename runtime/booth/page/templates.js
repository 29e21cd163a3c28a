// Each layout with sample pictures, large.
const room = document.getElementById("sheets");
const { layouts } = await (await fetch("/api/settings")).json();
for (const { key, shots, label } of layouts) {
  const figure = document.createElement("figure");
  const words = document.createElement("figcaption");
  words.textContent = `${label ?? key}: ${shots === 1 ? "1 picture" : `${shots} pictures`}`;
  figure.append(Object.assign(document.createElement("img"), { alt: `${key} with sample pictures`, src: `/layouts/${encodeURIComponent(key)}?large=1` }), words);
  room.append(figure);
}
