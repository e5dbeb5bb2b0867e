// The live diagram: what a post passes, and the posts as dots that travel along. Dots are slower than posts: those take
// milliseconds. The table below the diagram has the true times, so the drawing itself is hidden from screen readers.

import { h, s } from "../dom.js";
import { hue } from "../text.js";

const WIDTH = 720;
const HEIGHT = 268;
const BOX = { width: 116, height: 46 };
/** How long a dot takes from one box to the next. */
const HOP_MS = 420;
/** More dots at once would hide the diagram. */
const DOTS_MAX = 40;
/** Dots of posts that went on unseen disappear. */
const DOT_AGE_MAX_MS = 60_000;

const BOXES = {
  client: { x: 66, y: 36, name: "Clients", kind: "person", note: "this page, the demo" },
  command: { x: 213, y: 36, name: "Command", functions: ["CreatePost"] },
  log: { x: 360, y: 36, name: "Table Commands", kind: "table", note: "the truth" },
  publish: { x: 507, y: 36, name: "PublishEvents", functions: ["PublishEvents"] },
  bus: { x: 654, y: 36, name: "Bus (Kinesis)", kind: "queue", note: "hints" },
  trending: { x: 654, y: 134, name: "Trending", functions: ["Trending"] },
  fanout: { x: 507, y: 134, name: "Fanout", functions: ["Fanout"] },
  rows: { x: 360, y: 134, name: "Home rows", kind: "table", note: "one for each reader" },
  query: { x: 66, y: 134, name: "Queries", functions: ["GetFeed", "GetPost", "GetProfile"] },
  queue: { x: 507, y: 232, name: "Queue (SQS)", kind: "queue" },
  deliver: { x: 360, y: 232, name: "Deliver", functions: ["Deliver"] },
  quarantine: { x: 654, y: 232, name: "Quarantine", kind: "queue" },
};
const EDGES = [["client", "command"], ["command", "log"], ["log", "publish"], ["publish", "bus"], ["bus", "fanout"],
  ["bus", "trending"], ["fanout", "rows"], ["fanout", "queue"], ["queue", "deliver"], ["deliver", "rows"],
  ["rows", "query"], ["query", "client"], ["queue", "quarantine"]];
/** The boxes that a dot passes when a post reaches a stage. */
const WAYS = { command: ["client", "command", "log"], stream: ["publish"], bus: ["bus"], fanout: ["fanout"],
  rows: ["rows"], deliver: ["queue", "deliver"], delivered: ["rows"] };

const still = matchMedia("(prefers-reduced-motion: reduce)");

class Diagram extends HTMLElement {
  #dots = new Map();
  #boxes = {};

  connectedCallback() {
    if (this.firstChild) return;
    this.layer = s("g", {});
    for (const [name, value] of [["role", "region"], ["aria-label", "Diagram"], ["tabindex", "0"]]) {
      this.setAttribute(name, value);
    }
    const boxes = Object.entries(BOXES).map(([name, box]) => this.#draw(name, box));
    this.append(s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "diagram", "aria-hidden": "true" },
      EDGES.map(([from, to]) => edge(BOXES[from], BOXES[to])), boxes, this.layer));
  }

  #draw(name, { x, y, name: title, kind = "function", note = "" }) {
    const detail = s("text", { x, y: y + 15, class: "detail" }, note);
    const frame = s("rect", { x: x - BOX.width / 2, y: y - BOX.height / 2, ...BOX, rx: 8 });
    const box = s("g", { class: `box ${kind}` }, frame, s("text", { x, y: y - 3 }, title), detail);
    this.#boxes[name] = { box, detail };
    return box;
  }

  /** Shows processes, depths of queues, and what is paused or throttled. */
  state({ processes, queues, sources, throttled, paused }) {
    const depth = (suffix) => queues.find(({ name }) => name.endsWith(suffix)) ?? { visible: 0, in_flight: 0 };
    for (const [name, { functions }] of Object.entries(BOXES)) {
      if (!functions) continue;
      const running = processes.filter((process) => functions.includes(process.function)).length;
      const flying = sources.filter((source) => functions.includes(source.function))
        .reduce((sum, source) => sum + source.in_flight, 0);
      const isThrottled = functions.some((name) => throttled.includes(name));
      const isPaused = paused && sources.some((source) => functions.includes(source.function));
      const text = isThrottled ? "throttled" : isPaused ? "paused" : `${running} process${running === 1 ? "" : "es"}`;
      this.#set(name, flying > 0 ? `${text}, ${flying} in work` : text, isThrottled || isPaused);
    }
    const queue = depth("-Deliveries");
    this.#set("queue", `${queue.visible} wait, ${queue.in_flight} in work`, false);
    const lost = depth("-Quarantine").visible + depth("-FailedBatches").visible;
    this.#set("quarantine", `${lost} failed`, lost > 0);
  }

  #set(name, text, bad) {
    const { box, detail } = this.#boxes[name];
    if (detail.textContent !== text) detail.textContent = text;
    box.classList.toggle("bad", bad);
  }

  /** Marks the box of a function whose processes were killed. */
  killed(name) {
    const found = Object.entries(BOXES).find(([, { functions }]) => functions?.includes(name));
    const box = found && this.#boxes[found[0]].box;
    box?.classList.add("killed");
    setTimeout(() => box?.classList.remove("killed"), 1_500);
  }

  /** Lets the dot of a post travel to a stage. */
  move(path, stage) {
    const way = WAYS[stage];
    if (!way || still.matches || document.hidden) return;
    let dot = this.#dots.get(path.post);
    if (!dot) {
      if (this.#dots.size >= DOTS_MAX || stage === "delivered") return;
      dot = { element: s("circle", { r: 7, class: `dot hue-${hue(path.user ?? "")}` }), hops: [], at: null };
      dot.forget = setTimeout(() => this.#remove(path.post), DOT_AGE_MAX_MS);
      this.#dots.set(path.post, dot);
      this.layer.append(dot.element);
    }
    dot.hops.push(...way);
    if (!dot.moving) this.#travel(path.post, dot);
  }

  async #travel(post, dot) {
    dot.moving = true;
    while (dot.hops.length > 0) {
      const from = BOXES[dot.at ?? dot.hops[0]];
      const name = dot.hops.shift();
      if (name !== dot.at) {
        const to = BOXES[name];
        // On the upper edge of a box, where it hides no text.
        const place = ({ x, y }) => `translate(${x}px, ${y - BOX.height / 2}px)`;
        dot.at = name;
        // Dots that fell behind hurry.
        const duration = HOP_MS / Math.max(1, dot.hops.length / 3);
        const keys = [{ transform: place(from) }, { transform: place(to) }];
        const moved = dot.element.animate(keys, { duration, fill: "forwards", easing: "ease-in-out" });
        await moved.finished.catch(() => null);
      }
    }
    dot.moving = false;
    if (dot.at === "rows") setTimeout(() => !dot.moving && this.#remove(post), HOP_MS * 2);
  }

  #remove(post) {
    const dot = this.#dots.get(post);
    if (!dot) return;
    clearTimeout(dot.forget);
    dot.element.remove();
    this.#dots.delete(post);
  }
}

function edge(from, to) {
  const [dx, dy] = [Math.sign(to.x - from.x), Math.sign(to.y - from.y)];
  const flat = from.y === to.y;
  const [hx, hy] = [flat ? dx * BOX.width / 2 : 0, flat ? 0 : dy * BOX.height / 2];
  const straight = from.x === to.x || flat;
  const [x1, y1] = straight ? [from.x + hx, from.y + hy] : [from.x - 30, from.y + BOX.height / 2];
  const [x2, y2] = straight ? [to.x - hx, to.y - hy] : [to.x + 30, to.y - BOX.height / 2];
  const angle = Math.atan2(y2 - y1, x2 - x1) * 180 / Math.PI;
  return s("g", { class: "edge" }, s("line", { x1, y1, x2, y2 }),
    s("path", { d: "M-7 -4 L0 0 L-7 4", transform: `translate(${x2} ${y2}) rotate(${angle})` }));
}

customElements.define("tidings-diagram", Diagram);

export const diagram = () => h("tidings-diagram");
