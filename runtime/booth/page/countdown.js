// Seconds left → a number and a ring.
const ring = document.querySelector("#ring circle");
const number = document.getElementById("seconds");
let running = null;

export function countDown(seconds, each, over) {
  const until = performance.now() + seconds * 1000;
  const length = 2 * Math.PI * 46;
  ring.style.strokeDasharray = length;
  let last = null;
  const turn = () => {
    const left = Math.max(0, until - performance.now()) / 1000;
    const shown = Math.max(1, Math.ceil(left));
    ring.style.strokeDashoffset = length * (1 - left / Math.max(seconds, 0.001));
    if (shown !== last) {
      last = shown;
      number.textContent = shown;
      number.classList.remove("beat");
      void number.offsetWidth;
      number.classList.add("beat");
      each(shown);
    }
    running = left > 0 ? requestAnimationFrame(turn) : null;
    if (left === 0) over();
  };
  turn();
}

export function stopCounting() {
  if (running !== null) cancelAnimationFrame(running);
  running = null;
}
