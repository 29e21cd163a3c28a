// The guest's own picture: asked twice, then taken off the booth.
const button = document.getElementById("delete");
const said = document.getElementById("said");
button?.addEventListener("click", async () => {
  if (!confirm(button.dataset.sure)) return;
  const answer = await fetch(button.dataset.address, { method: "POST" });
  if (!answer.ok && answer.status !== 404) {
    said.textContent = (await answer.json()).error;
    return;
  }
  for (const part of document.querySelectorAll("img, video, nav, button")) part.remove();
  said.textContent = button.dataset.gone;
});
