// The live diagram: what a post passes, and the posts as dots that travel along. Dots are slower than posts: those take
// milliseconds. The table below the diagram has the true times, so the drawing itself is hidden from screen readers.

import { h, s } from "../dom.js";
import { hue } from "../text.js";
import { BOX, BOXES, EDGES, WAYS, line, places } from "./places.js";

/** How long a dot takes from one box to the next. */
const HOP_MS = 420;
/** More dots at once would hide the diagram. */
const DOTS_MAX = 40;
/** Dots of posts that went on unseen disappear. */
const DOT_AGE_MAX_MS = 60_000;
/** Dots that wait at one box stand side by side: so many, so far from each other. */
const SEATS = 8;
const SEAT_PX = 14;
/** Narrower than this, the diagram has three columns. In CSS pixels. */
const WIDE_PX_MIN = 540;

const still = matchMedia("(prefers-reduced-motion: reduce)");

class Diagram extends HTMLElement {
  #dots = new Map();
  #boxes = {};
  #at;
  #shape = null;
  #told = null;

  connectedCallback() {
    this.fitting ??= new ResizeObserver(([{ contentRect: { width } }]) => {
      // A part of the page that is not shown has no width.
      if (width > 0) this.#draw(width < WIDE_PX_MIN ? "narrow" : "wide");
    });
    this.fitting.observe(this);
  }

  disconnectedCallback() { this.fitting.disconnect(); }

  #draw(shape) {
    if (shape === this.#shape) return;
    const { at, width, height } = places(shape);
    for (const post of [...this.#dots.keys()]) this.#remove(post);
    this.layer = s("g", {});
    this.#at = at;
    this.#shape = shape;
    const boxes = Object.entries(BOXES).map(([name, box]) => this.#box(name, box));
    this.replaceChildren(s("svg", { viewBox: `0 0 ${width} ${height}`, class: `diagram ${shape}`,
      "aria-hidden": "true" }, EDGES.map(([from, to]) => edge(at[from], at[to])), boxes, this.layer));
    if (this.#told) this.state(this.#told);
  }

  #box(name, { name: title, kind = "function", note = "" }) {
    const { x, y } = this.#at[name];
    const detail = s("text", { x, y: y + 15, class: "detail" }, note);
    const frame = s("rect", { x: x - BOX.width / 2, y: y - BOX.height / 2, ...BOX, rx: 8 });
    const box = s("g", { class: `box ${kind}`, "data-box": name }, frame, s("text", { x, y: y - 3 }, title), detail);
    this.#boxes[name] = { box, detail };
    return box;
  }

  /** Shows processes, depths of queues, and what is paused or throttled. */
  state(told) {
    this.#told = told;
    if (!this.#shape) return;
    const { processes, queues, sources, throttled, paused } = told;
    for (const [name, { functions, note }] of Object.entries(BOXES)) {
      if (!functions) continue;
      const running = processes.filter((process) => functions.includes(process.function)).length;
      const own = sources.filter((source) => functions.includes(source.function));
      const flying = own.reduce((sum, source) => sum + source.in_flight, 0);
      const stopped = functions.some((name) => throttled.includes(name)) ? "throttled"
        : paused && own.length > 0 ? "paused" : null;
      const idle = note && running === 0 ? note : `${running} process${running === 1 ? "" : "es"}`;
      const text = flying === 0 ? stopped ?? idle : stopped ? `${stopped}, ${flying} wait` : `${flying} in work`;
      this.#set(name, text, stopped !== null);
    }
    const depth = (suffix) =>
      queues.find(({ name }) => name.endsWith(suffix)) ?? { visible: 0, in_flight: 0 };
    const tasks = depth("-Deliveries");
    this.#set("queue", `${tasks.visible} wait, ${tasks.in_flight} in work`, false);
    const failed = depth("-FailedBatches");
    this.#set("failed", `${failed.visible + failed.in_flight} given up`, failed.visible + failed.in_flight > 0);
    const poison = depth("-Quarantine").visible;
    this.#set("quarantine", `${poison} for a person`, poison > 0);
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

  /** Lets the dot of a post travel to a stage. The dot of the user's own post stands out. */
  move(path, stage, own) {
    const way = WAYS[stage];
    if (!way || !this.#shape || still.matches || document.hidden) return;
    let dot = this.#dots.get(path.post);
    if (!dot) {
      if (this.#dots.size >= DOTS_MAX || stage === "delivered") return;
      const element = s("circle", { r: own ? 9 : 7, class: `dot hue-${hue(path.user ?? "")}${own ? " own" : ""}` });
      dot = { element, hops: [], at: null };
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
      const from = dot.place ?? this.#place(dot.hops[0], 0);
      const name = dot.hops.shift();
      if (name !== dot.at) {
        dot.at = name;
        dot.seat = this.#seat(dot);
        dot.place = this.#place(name, dot.seat);
        // Dots that fell behind hurry.
        const duration = HOP_MS / Math.max(1, dot.hops.length / 3);
        const keys = [{ transform: from }, { transform: dot.place }];
        const moved = dot.element.animate(keys, { duration, fill: "forwards", easing: "ease-in-out" });
        await moved.finished.catch(() => null);
      }
    }
    dot.moving = false;
    if (dot.at === "rows") setTimeout(() => !dot.moving && this.#remove(post), HOP_MS * 2);
  }

  /** The first free seat at the box of a dot, counted from the middle. */
  #seat(dot) {
    const taken = new Set([...this.#dots.values()].filter((one) => one !== dot && one.at === dot.at)
      .map(({ seat }) => seat));
    const free = [...Array(SEATS).keys()].find((seat) => !taken.has(seat));
    return free ?? SEATS - 1;
  }

  /** On the upper edge of a box, where a dot hides no text. Seats are right and left of the middle in turn. */
  #place(name, seat) {
    const { x, y } = this.#at[name];
    const aside = Math.ceil(seat / 2) * (seat % 2 === 0 ? -SEAT_PX : SEAT_PX);
    return `translate(${x + aside}px, ${y - BOX.height / 2}px)`;
  }

  #remove(post) {
    const dot = this.#dots.get(post);
    if (!dot) return;
    clearTimeout(dot.forget);
    dot.hops.length = 0;
    dot.element.remove();
    this.#dots.delete(post);
  }
}

function edge(from, to) {
  const { angle, ...ends } = line(from, to);
  return s("g", { class: "edge" }, s("line", ends),
    s("path", { d: "M-7 -4 L0 0 L-7 4", transform: `translate(${ends.x2} ${ends.y2}) rotate(${angle})` }));
}

customElements.define("tidings-diagram", Diagram);

export const diagram = () => h("tidings-diagram");
