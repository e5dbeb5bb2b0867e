// What the local stack tells as it happens: server-sent events of /dev/live. It connects again by itself.

const KINDS = ["state", "request", "started", "ended", "written", "skipped"];

/** How soon the page connects again if the stack has refused, for example because too many pages watch. */
const AGAIN_MS = 3_000;

/** Calls `told[kind](data)` for every event, and `connected(bool)`. Returns a function that ends this. */
export function watch(told, connected) {
  let source;
  let again;
  const connect = () => {
    source = new EventSource("dev/live");
    for (const kind of KINDS) source.addEventListener(kind, ({ data }) => told[kind]?.(JSON.parse(data)));
    source.addEventListener("open", () => connected(true));
    source.addEventListener("error", () => {
      connected(false);
      // After an answer that is an error, the browser gives up.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, AGAIN_MS);
    });
  };
  connect();
  return () => {
    clearTimeout(again);
    source.close();
  };
}

/** Sends a switch of the local stack. Returns its answer. */
export async function act(path, body) {
  let answer;
  try {
    answer = await fetch(`dev/${path}`, { method: "POST", body: JSON.stringify(body) });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const document = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(document?.message ?? `The switch has failed (${answer.status}).`);
  return document;
}
