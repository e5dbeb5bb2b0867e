// The switches of the inside view: they disturb the system, and a line says what came of it.

import { h, uid } from "../dom.js";
import { act } from "./live.js";

/** Switches that disturb the system, and a line that says what came of it. */
export function faultsPanel(visitors, killed) {
  const log = h("p", { class: "log", role: "status" });
  const note = (text) => { log.textContent = text; };
  const now = {};
  const toggle = (label, name, send, on, off) => {
    const button = h("button", { "aria-pressed": "false", onclick: async () => {
      const active = button.getAttribute("aria-pressed") !== "true";
      await attempt(() => send(active), active ? on : off);
    } }, label);
    now[name] = button;
    return button;
  };
  const attempt = async (action, text) => {
    try {
      await action();
      if (text) note(text);
    } catch (error) {
      note(error.message);
    }
  };
  const pressed = (name) => now[name].getAttribute("aria-pressed") === "true";
  const chaos = (name) => (active) => act("chaos", {
    duplicate_records: name === "duplicate" ? active : pressed("duplicate"),
    reorder_records: name === "reorder" ? active : pressed("reorder"),
  });
  const id = uid("function");
  const select = h("select", { id });
  /** When the functions were killed that have not worked again. */
  const recovering = new Map();
  const kill = async () => {
    const name = select.value;
    const at = Date.now();
    await attempt(async () => {
      const { killed: count } = await act("kill", { function: name });
      if (count === 0) return note(`${name} has no process at present. One starts with the next event.`);
      killed(name);
      recovering.set(name, at);
      return note(`Killed ${count} process${count === 1 ? "" : "es"} of ${name}. It starts again with the next event.`);
    });
  };
  const throttle = h("button", { "aria-pressed": "false", onclick: async () => {
    const active = throttle.getAttribute("aria-pressed") !== "true";
    const name = select.value;
    await attempt(() => act("throttle", { function: name, throttled: active }),
      active ? `No invocation of ${name} runs. Its events wait; requests get 503.` : `${name} runs again.`);
  } }, "Throttle");
  const demo = toggle("Bring it to life", "demo", (running) => act("demo", { running }),
    "40 users join, follow each other and you, and post, like and comment. Press again to stop.",
    "The demo has stopped.");
  /** Whom the demo's users were asked to follow. */
  const welcomed = new Set();
  /** The demo's users follow whoever is signed in, so that this user's posts reach somebody. */
  const welcome = async () => {
    for (const follow of visitors().filter((visitor) => !welcomed.has(visitor))) {
      welcomed.add(follow);
      await act("demo", { running: true, follow }).catch(() => welcomed.delete(follow));
    }
  };
  let throttled = [];
  const showThrottled = () => {
    throttle.setAttribute("aria-pressed", String(throttled.includes(select.value)));
    // So that nobody forgets a function that is throttled while another one is chosen.
    for (const option of select.options) {
      const label = throttled.includes(option.value) ? `${option.value} (throttled)` : option.value;
      if (option.textContent !== label) option.textContent = label;
    }
  };
  select.addEventListener("change", showThrottled);
  const element = h("section", { class: "faults", "aria-label": "Disturb the system" },
    h("div", { class: "row" }, demo,
      toggle("Pause", "paused", (paused) => act("sources", { paused }),
        "Streams and queues are not read any more. Commands still work: what they did waits in the table.",
        "Reading goes on where it stopped."),
      toggle("Duplicate", "duplicate", chaos("duplicate"), "Some records are delivered twice. No row appears twice.",
        "Records are delivered once again."),
      toggle("Reorder", "reorder", chaos("reorder"), "Records of different users overtake each other.",
        "Records come in their order again.")),
    h("div", { class: "row" }, h("label", { for: id }, "Function"), select, h("button", { onclick: kill }, "Kill"),
      throttle), log);
  const state = (told) => {
    if (select.options.length === 0) {
      select.append(...told.functions.map((name) =>
        h("option", { value: name, selected: name === "Fanout" }, name)));
    }
    ({ throttled } = told);
    showThrottled();
    if (told.demo.running) welcome();
    else welcomed.clear();
    const active = { demo: told.demo.running, paused: told.paused, duplicate: told.duplicate_records,
      reorder: told.reorder_records };
    for (const [name, on] of Object.entries(active)) now[name].setAttribute("aria-pressed", String(on));
    demo.textContent = told.demo.running ? `Stop the demo (${told.demo.users} users)` : "Bring it to life";
  };
  /** A function has ended a batch or a request. If it was killed before, it works again. */
  const worked = (name, at, what) => {
    const since = recovering.get(name);
    if (since === undefined) return;
    recovering.delete(name);
    note(`${name} was killed, and worked again after ${Math.max(1, Math.round(at - since))} ms. ${what}`);
  };
  const ended = ({ function: name, outcome, at }) =>
    outcome === "done" && worked(name, at, "What it had not finished was delivered again.");
  const request = ({ function: name, status, at, ms }) =>
    status !== null && at >= recovering.get(name) && worked(name, at + ms, "Requests in progress got an error.");
  return { element, state, ended, request };
}
