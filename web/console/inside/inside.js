// The inside view: what the local stack does, as it happens. On another deployment, only what this page's own requests
// cost.

import { h } from "../dom.js";
import { chart, key } from "./chart.js";
import { diagram } from "./diagram.js";
import { watch } from "./live.js";
import { costsPanel, eventsPanel, pathsPanel, processesPanel, requestsPanel } from "./panels.js";
import { faultsPanel } from "./faults.js";
import { Paths, percentile } from "./paths.js";

/** How often tables and charts are drawn. */
const DRAW_MS = 500;
/** The lag of a moment is that of the events of so many milliseconds before. */
const LAG_WINDOW_MS = 10_000;

/** The shapes of the diagram. */
const KEY = { own: "your post", dot: "a post", function: "function", table: "table", queue: "stream or queue" };

class Inside extends HTMLElement {
  /** `visitors()` are the ids of the users who are signed in. */
  begin(config, visitors) {
    Object.assign(this, { config, visitors });
    this.costs = costsPanel();
    this.requests = requestsPanel();
    if (!config.development) {
      this.own = ({ detail }) => {
        const route = detail.path.replace(/\/(users|posts|tags|comments|followers)\/[^/]+/g, "/$1/…");
        this.requested(`${detail.method} ${route}`, detail);
      };
      this.append(h("h2", {}, "What requests cost"),
        h("p", {}, "The local stack shows much more here: the way of each post through the system."),
        this.requests.element, this.costs.element);
      return this;
    }
    this.diagram = diagram();
    const own = (path) => this.visitors().includes(path.user);
    this.paths = new Paths((path, stage) => this.diagram.move(path, stage, own(path)));
    this.ways = pathsPanel(this.paths, own);
    this.lag = chart("Lag from a command to its rows, last minute", { p50: "median", p99: "99th percentile" });
    this.processes = processesPanel();
    this.events = eventsPanel();
    this.faults = faultsPanel(this.visitors, (name) => this.diagram.killed(name));
    this.status = h("p", { class: "note", role: "status" }, "Connecting …");
    this.numbers = h("p", { class: "numbers" });
    this.append(h("h2", {}, "Inside"),
      h("p", {}, "A post is a command, committed in one transaction. Everything that is read is derived from it: ",
        "write a post and follow its dot. Then disturb the system, and see it recover."),
      this.faults.element, this.diagram, key(KEY, "What the shapes mean"), this.status, this.numbers,
      this.ways.element, this.lag.element, this.requests.element, this.costs.element, this.events.element,
      this.processes.element);
    return this;
  }

  connectedCallback() {
    this.timers = [setInterval(() => this.#draw(), DRAW_MS)];
    if (this.own) {
      globalThis.addEventListener("tidings-request", this.own);
      return;
    }
    this.timers.push(setInterval(() => this.#tick(), 1_000));
    // A browser has only six connections to a server for all of its tabs, so a hidden one gives up its own.
    this.seen = () => (document.hidden ? this.#leave() : this.#watch());
    document.addEventListener("visibilitychange", this.seen);
    this.seen();
  }

  requested(route, request) {
    this.costs.add(route, request);
    this.requests.add(route, request);
  }

  #leave() {
    this.end?.();
    this.end = null;
  }

  #watch() {
    const { paths, events, faults } = this;
    this.end ??= watch({
      state: (state) => {
        this.diagram.state(state);
        this.processes.state(state);
        faults.state(state);
      },
      request: (request) => {
        paths.request(request);
        faults.request(request);
        this.requested(request.route, request);
      },
      started: (started) => {
        paths.started(started);
        events.started(started);
      },
      ended: (ended) => {
        paths.ended(ended);
        faults.ended(ended);
      },
      written: (written) => paths.written(written),
      skipped: ({ skipped }) => { this.status.textContent = `Too much happens to show all: ${skipped} left out.`; },
    }, (connected) => {
      this.status.textContent = connected ? "" : "The stack cannot be reached. Connecting again …";
      this.classList.toggle("stale", !connected);
    });
  }

  disconnectedCallback() {
    this.timers.forEach(clearInterval);
    this.#leave();
    document.removeEventListener("visibilitychange", this.seen);
    globalThis.removeEventListener("tidings-request", this.own);
  }

  #draw() {
    if (document.hidden) return;
    this.costs.draw();
    this.requests.draw();
    this.ways?.draw();
    this.events?.draw();
  }

  #tick() {
    const lags = this.paths.lags(Date.now() - LAG_WINDOW_MS);
    const [p50, p99] = [percentile(lags, 0.5), percentile(lags, 0.99)];
    this.lag.add({ p50, p99 });
    const shown = (value) => (value === null ? "–" : `${Math.round(value)} ms`);
    this.numbers.replaceChildren("Lag of the last 10 s: median ", h("b", {}, shown(p50)), ", 99th percentile ",
      h("b", {}, shown(p99)), `, ${lags.length} events`);
  }
}

customElements.define("tidings-inside", Inside);

export const inside = (config, visitors) => new Inside().begin(config, visitors);
