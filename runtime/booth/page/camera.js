// The device's newest frame → a canvas. A frame is asked for when the one before has arrived, so a slow screen shows
// fewer of them and never old ones.
const RETRY_MS = 1000;

export async function followCamera(canvas, frozen) {
  const pen = canvas.getContext("2d", { alpha: false });
  let after = 0;
  let drawn = Promise.resolve();
  for (;;) {
    try {
      const answer = await fetch(`/api/frame?after=${after}`);
      if (answer.status !== 200) {
        if (!answer.ok) await pause(RETRY_MS);
        continue;
      }
      after = answer.headers.get("X-Number");
      const last = answer.headers.get("X-Frozen") === "1";
      const jpeg = await answer.blob();
      await drawn; // the frame before; the next one is on its way meanwhile
      drawn = draw(pen, jpeg, after, last ? frozen : null);
    } catch {
      await pause(RETRY_MS);
    }
  }
}

async function draw(pen, jpeg, number, frozen) {
  const picture = await createImageBitmap(jpeg);
  const { canvas } = pen;
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  pen.drawImage(picture, 0, 0);
  picture.close();
  canvas.dataset.number = number;
  canvas.dataset.frames = Number(canvas.dataset.frames ?? 0) + 1;
  if (frozen) requestAnimationFrame(frozen);
}

function pause(ms) {
  return new Promise((go) => setTimeout(go, ms));
}
