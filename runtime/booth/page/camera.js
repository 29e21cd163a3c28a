// The device's newest frame → a canvas. A frame is asked for when the one before has arrived, so a slow screen shows
// fewer of them and never old ones.
const RETRY_MS = 1000;
let pen;
let shown = 0; // the number of the frame on the canvas
let still = null; // since when it stands (ms), while the device has not said at which frame
let skipped = null; // the newest that came meanwhile
let photo = null; // the number of the one that is the photo: no other is drawn
let tell;

// Stands at once. Gives the number of the frame that is on the screen, for the device to take.
export function hold() {
  if (!still) {
    const standing = (still = { since: null });
    requestAnimationFrame(() => (standing.since = performance.now()));
  }
  return shown;
}

// Shows the frame that became a photo, mostly by leaving things as they are; `done` is told since when it is there.
export function freezeAt(number, done) {
  photo = number;
  tell = done;
  if (shown === number) stands(still?.since ?? performance.now());
  else if (skipped?.number === number) paint(skipped);
}

// Frames are shown as they come again.
export function goOn() {
  still = skipped = photo = null;
}

function stands(since) {
  tell?.(since);
  tell = null;
}

export async function followCamera(canvas) {
  pen = canvas.getContext("2d", { alpha: false });
  let after = 0;
  let drawn = Promise.resolve();
  for (;;) {
    try {
      const answer = await fetch(`/api/frame?after=${after}&upright=${Number(innerHeight > innerWidth)}`);
      if (answer.status !== 200) {
        if (!answer.ok) await pause(RETRY_MS);
        continue;
      }
      after = answer.headers.get("X-Number");
      const jpeg = await answer.blob();
      await drawn; // the frame before; the next one is on its way meanwhile
      drawn = paint({ jpeg, number: Number(after) });
    } catch {
      await pause(RETRY_MS);
    }
  }
}

async function paint(frame) {
  if (left(frame)) return;
  const picture = await createImageBitmap(frame.jpeg);
  if (left(frame)) return; // a finger was quicker
  const { canvas } = pen;
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.classList.toggle("upright", picture.height > picture.width);
  }
  pen.drawImage(picture, 0, 0);
  picture.close();
  shown = frame.number;
  document.body.dataset.picture = "there";
  canvas.dataset.number = shown;
  canvas.dataset.frames = Number(canvas.dataset.frames ?? 0) + 1;
  if (photo === shown) requestAnimationFrame(() => stands(performance.now()));
}

function left(frame) {
  if (photo !== null) return frame.number !== photo || frame.number === shown;
  if (still) skipped = frame;
  return Boolean(still);
}

function pause(ms) {
  return new Promise((go) => setTimeout(go, ms));
}
