// The parts of the inside view around the diagram: switches, paths of posts, costs of requests, processes, events.

import { h, say, uid } from "../dom.js";
import { act } from "./live.js";

const PATHS_SHOWN = 8;
const EVENTS_SHOWN = 10;
const ROUTES_SHOWN = 10;
/** More routes than the API has cannot come up. */
const ROUTES_MAX = 100;

/** A table with these columns. `fill(rows)` replaces its rows; a row is a list of cells. */
function table(caption, columns) {
  const body = h("tbody");
  const head = h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col" }, column))));
  const element = h("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    h("table", {}, h("caption", {}, caption), head, body));
  const cell = (content) => h("td", {}, content instanceof Node ? content : String(content));
  const row = ([first, ...rest]) => h("tr", {}, h("th", { scope: "row" }, first), rest.map(cell));
  return { element, fill: (rows) => body.replaceChildren(...rows.map(row)) };
}

const ms = (value) => (value === null || Number.isNaN(value) ? "…" : `${Math.round(value)} ms`);
const after = (later, earlier) => (later && earlier ? Math.max(0, later - earlier) : null);

/** The latest posts with their times between two stages. */
export function pathsPanel(paths) {
  const columns = ["Post by", "Command", "Stream", "Bus", "Fan-out", "Homes", "Total"];
  const { element, fill } = table("The latest posts on their way", columns);
  const cells = (path) => [h("bdi", { title: path.post }, path.user ?? "?"), ms(after(path.command, path.began)),
    ms(after(path.stream, path.began)), ms(after(path.fanout, path.stream)), ms(after(path.rows, path.fanout)),
    path.homes?.size ?? "…", h("b", {}, ms(after(path.rows, path.began)))];
  return { element, draw: () => fill(paths.newest(PATHS_SHOWN).map(cells)) };
}

/** What requests cost, by route. */
export function costsPanel() {
  const columns = ["Request", "Number", "Time", "Calls", "Read units", "Write units", "Failed"];
  const { element, fill } = table("What requests cost, on average", columns);
  const routes = new Map();
  const add = (name, { ms, cost, status }) => {
    const known = routes.get(name) ?? { count: 0, costs: 0, ms: 0, calls: 0, read: 0, write: 0, failed: 0 };
    // The route that was used last comes first.
    routes.delete(name);
    routes.set(name, known);
    if (routes.size > ROUTES_MAX) routes.delete(routes.keys().next().value);
    known.count += 1;
    known.ms += ms;
    if (!status || status >= 400) known.failed += 1;
    const [, calls, read, write] = /calls=(\d+), read_units=([\d.]+), write_units=([\d.]+)/.exec(cost ?? "") ?? [];
    if (calls === undefined) return;
    known.costs += 1;
    known.calls += Number(calls);
    known.read += Number(read);
    known.write += Number(write);
  };
  const mean = (sum, count) => (count ? (sum / count).toLocaleString("en", { maximumFractionDigits: 1 }) : "–");
  const draw = () => fill([...routes].reverse().slice(0, ROUTES_SHOWN).map(([name, known]) => [name, known.count,
    ms(known.ms / known.count), mean(known.calls, known.costs), mean(known.read, known.costs),
    mean(known.write, known.costs), known.failed]));
  return { element, add, draw };
}

/** The processes of each function, and queues. */
export function processesPanel() {
  const { element, fill } = table("Processes", ["Function", "Processes", "Memory", "In work"]);
  const state = ({ processes, sources }) => {
    const names = [...new Set([...processes, ...sources].map((one) => one.function))].sort();
    fill(names.map((name) => {
      const own = processes.filter((process) => process.function === name);
      const bytes = own.reduce((sum, process) => sum + process.memory_bytes, 0);
      const flying = sources.filter((source) => source.function === name);
      return [name, own.length, `${Math.round(bytes / 2 ** 20)} MiB`, flying.length ? flying[0].in_flight : "–"];
    }));
  };
  return { element, state };
}

/** The latest events on the bus. */
export function eventsPanel() {
  const { element, fill } = table("The latest events on the bus", ["Event", "Id", "Read by", "Time"]);
  const events = [];
  const started = ({ at, source, records, function: reader }) => {
    if (source !== "kinesis") return;
    for (const { type, id } of records) {
      events.unshift([type.replace(/^tidings\.|\.v1$/g, ""), short(id), reader, clock(at)]);
    }
    events.length = Math.min(events.length, EVENTS_SHOWN);
  };
  return { element, started, draw: () => fill(events) };
}

const short = (id) => h("bdi", { title: id }, id.length > 32 ? `${id.slice(0, 14)}…${id.slice(-14)}` : id);
const clock = (at) => new Date(at).toLocaleTimeString([], { hour12: false });

/** Switches that disturb the system, and a line that says what came of it. */
export function faultsPanel(visitor, killed) {
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
  const demo = toggle("Bring it to life", "demo", (running) => act("demo", { running, follow: visitor() ?? undefined }),
    "40 users join, follow each other and you, and post, like and comment. Press again to stop.",
    "The demo has stopped.");
  let throttled = [];
  const showThrottled = () => throttle.setAttribute("aria-pressed", String(throttled.includes(select.value)));
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
      select.append(...told.functions.map((name) => h("option", { selected: name === "Fanout" }, name)));
    }
    ({ throttled } = told);
    showThrottled();
    const active = { demo: told.demo.running, paused: told.paused, duplicate: told.duplicate_records,
      reorder: told.reorder_records };
    for (const [name, on] of Object.entries(active)) now[name].setAttribute("aria-pressed", String(on));
    demo.textContent = told.demo.running ? `Stop the demo (${told.demo.users} users)` : "Bring it to life";
  };
  /** A function that was killed works again. */
  const ended = ({ function: name, outcome, at }) => {
    const since = recovering.get(name);
    if (since === undefined || outcome !== "done") return;
    recovering.delete(name);
    const text = `${name} was killed, and worked again after ${Math.max(1, at - since)} ms. Nothing is lost.`;
    note(text);
    say(text);
  };
  return { element, state, ended };
}
