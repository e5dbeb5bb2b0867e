// A list that is read page by page: the next page comes when its end is near, or by the button.

import { h, say } from "../dom.js";

/** More entries make a page slow, and nobody scrolls so far. */
const ENTRIES_MAX = 2_000;
/** The next page is read so many pixels before the end of the list is seen. */
const AHEAD_PX = 800;

class List extends HTMLElement {
  /** `load(cursor)` returns `{ entries, next }`; `show(entry)` its element; `empty` is shown when there is nothing. */
  set source(source) {
    this.#source = source;
    this.#ids = new Set();
    this.#cursor = null;
    this.items = h("div", { role: source.role ?? "feed", "aria-label": source.label, "aria-busy": "true" });
    this.#more = h("button", { class: "more", onclick: () => this.more() }, "Load more");
    this.#note = h("p", { class: "note" });
    this.replaceChildren(this.items, this.#note, this.#more);
    this.#seen?.disconnect();
    this.#seen = new IntersectionObserver(([entry]) => entry.isIntersecting && this.more(), {
      root: this.closest(".pane"),
      rootMargin: `0px 0px ${AHEAD_PX}px`,
    });
    this.ready = this.more();
  }

  #source; #ids; #cursor; #more; #note; #seen; #loading = null;

  disconnectedCallback() { this.#seen?.disconnect(); }

  /** Reads the next page. Calls at the same time are one. */
  more() {
    this.#loading ??= this.#load().finally(() => { this.#loading = null; });
    return this.#loading;
  }

  async #load() {
    const source = this.#source;
    this.#seen.disconnect();
    this.#more.hidden = true;
    this.items.setAttribute("aria-busy", "true");
    this.#note.textContent = "Loading …";
    try {
      const { entries, next } = await source.load(this.#cursor);
      if (source !== this.#source) return;
      const fresh = entries.filter((entry) => !this.#ids.has(source.id(entry)));
      for (const entry of fresh) this.#ids.add(source.id(entry));
      this.items.append(...fresh.map((entry) => source.show(entry)));
      this.#cursor = next;
      this.#end(next);
    } catch (error) {
      if (source !== this.#source) return;
      this.#note.textContent = error.message;
      this.#more.textContent = "Try again";
      this.#more.hidden = error.passes === false;
      say(error.message);
    } finally {
      this.items.setAttribute("aria-busy", "false");
    }
  }

  #end(next) {
    const full = this.#ids.size >= ENTRIES_MAX;
    this.#more.textContent = "Load more";
    this.#more.hidden = !next || full;
    if (full) this.#note.textContent = "This is enough for one page. Go back to the top for what is new.";
    else if (next) this.#note.textContent = "";
    else if (this.#ids.size === 0) this.#note.replaceChildren(this.#source.empty);
    else this.#note.textContent = this.#source.end ?? "That is all.";
    if (next && !full) this.#seen.observe(this.#more);
  }
}

customElements.define("tidings-list", List);

/** A list with this source, which begins to load when it is on the page. */
export function list(source) {
  const element = h("tidings-list");
  queueMicrotask(() => { element.source = source; });
  return element;
}
