// A guest's wish → the device. Whether it is granted is seen in the next state.
export async function act(action, value = "") {
  try {
    const answer = await fetch("/api/act", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ action, value }),
    });
    return answer.ok;
  } catch {
    return false; // the page says that it is connecting
  }
}
