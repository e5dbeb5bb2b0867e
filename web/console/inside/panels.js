// The tables of the inside view: paths of posts, costs of requests, the latest requests, processes, events.

import { h } from "../dom.js";

const PATHS_SHOWN = 8;
const EVENTS_SHOWN = 10;
const REQUESTS_SHOWN = 8;
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

/**
 * The latest posts with their times between two stages. The visitors' newest one stays on top, however many others
 * follow. Without those whose beginning the page has not seen.
 */
export function pathsPanel(paths, own) {
  const columns = ["Post by", "Command", "Stream", "Bus", "Fan-out", "Homes", "Total"];
  const { element, fill } = table("The latest posts on their way", columns);
  const cells = (path) => [h("bdi", { title: path.post, class: own(path) && "own" }, path.user ?? "?"),
    ms(after(path.command, path.began)), ms(after(path.stream, path.began)), ms(after(path.fanout, path.stream)),
    ms(after(path.rows ?? path.recovered, path.fanout)), path.homes?.size ?? "…",
    h("b", {}, ms(after(path.rows ?? path.recovered, path.began)))];
  return { element, draw: () => fill(paths.newest(PATHS_SHOWN, own).map(cells)) };
}

/** The numbers of a `Tidings-Cost`. Null without one. */
function costOf(told) {
  const found = /calls=(\d+), read_units=([\d.]+), write_units=([\d.]+)/.exec(told ?? "");
  return found && { calls: Number(found[1]), read: Number(found[2]), write: Number(found[3]) };
}

/** The latest requests, each with what it cost. */
export function requestsPanel() {
  const columns = ["Request", "By", "Status", "Time", "Calls", "Read units", "Write units"];
  const { element, fill } = table("The latest requests", columns);
  const requests = [];
  const add = (name, { user, status, ms: took, cost: told }) => {
    const cost = costOf(told);
    const numbers = [cost?.calls, cost?.read, cost?.write].map((number) => number ?? "–");
    requests.unshift([name, h("bdi", { class: "who" }, user ?? "–"), status ?? "none", ms(took), ...numbers]);
    requests.length = Math.min(requests.length, REQUESTS_SHOWN);
  };
  return { element, add, draw: () => fill(requests) };
}

/** What requests cost, by route. */
export function costsPanel() {
  const columns = ["Request", "Number", "Time", "Calls", "Read units", "Write units", "Failed"];
  const { element, fill } = table("What requests cost, on average", columns);
  const routes = new Map();
  const add = (name, { ms, cost: told, status }) => {
    const known = routes.get(name) ?? { count: 0, costs: 0, ms: 0, calls: 0, read: 0, write: 0, failed: 0 };
    // The route that was used last comes first.
    routes.delete(name);
    routes.set(name, known);
    if (routes.size > ROUTES_MAX) routes.delete(routes.keys().next().value);
    known.count += 1;
    known.ms += ms;
    if (!status || status >= 400) known.failed += 1;
    const cost = costOf(told);
    if (!cost) return;
    known.costs += 1;
    for (const [unit, number] of Object.entries(cost)) known[unit] += number;
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
