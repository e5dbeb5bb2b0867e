// Where posts and comments are written. A draft stays until it was sent: through errors, offline, and a reload. Its
// idempotency key stays with it, so sending it again after an error cannot publish it twice.

import { h, say, uid } from "../dom.js";
import { characters } from "../text.js";

export class Composer extends HTMLElement {
  /** `send(text, key)` publishes. `name` tells drafts apart; an edit begins with `text`. */
  set options(options) {
    const { label, button, max, name, text } = options;
    const id = uid("text");
    const draft = read(name);
    this.key = draft?.key ?? crypto.randomUUID();
    this.area = h("textarea", { id, rows: 2, dir: "auto", "aria-describedby": `${id}-left ${id}-error` });
    this.area.value = draft?.text ?? text ?? "";
    this.left = h("span", { class: "left", id: `${id}-left` });
    this.error = h("p", { class: "error", id: `${id}-error`, role: "alert" });
    this.button = h("button", { class: "primary" }, button);
    const cancel = options.cancel && h("button", { type: "button", onclick: () => {
      sessionStorage.removeItem(`tidings:draft:${name}`);
      options.cancel();
    } }, "Cancel");
    const form = h("form", { class: "composer", onsubmit: (event) => this.#send(event) },
      h("label", { for: id }, label), this.area,
      h("div", { class: "row" }, this.left, cancel, this.button), this.error);
    this.area.addEventListener("input", () => this.#changed());
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    Object.assign(this, { name, max, publish: options.send });
    this.replaceChildren(form);
    this.#count();
  }

  focus() { this.area.focus(); }

  #count() {
    const left = this.max - characters(this.area.value);
    this.left.textContent = `${left} left`;
    this.left.classList.toggle("over", left < 0);
  }

  #changed() {
    // Another text is another request, which needs a key of its own.
    this.key = crypto.randomUUID();
    this.#count();
    this.#keep();
  }

  #keep() {
    sessionStorage.setItem(`tidings:draft:${this.name}`, JSON.stringify({ text: this.area.value, key: this.key }));
  }

  async #send(event) {
    event.preventDefault();
    if (this.button.disabled) return;
    const text = this.area.value;
    this.button.disabled = true;
    this.error.textContent = "";
    try {
      this.#keep();
      await this.publish(text, this.key);
      sessionStorage.removeItem(`tidings:draft:${this.name}`);
      this.key = crypto.randomUUID();
      if (this.area.value === text) this.area.value = "";
      this.#count();
      say("Sent.");
    } catch (error) {
      if (error.code === "idempotency_key_reused") this.key = crypto.randomUUID();
      this.error.textContent = error.message;
    } finally {
      this.button.disabled = false;
    }
  }
}

customElements.define("tidings-composer", Composer);

export function composer(options) {
  const element = h("tidings-composer");
  element.options = options;
  return element;
}

function read(name) {
  try {
    return JSON.parse(sessionStorage.getItem(`tidings:draft:${name}`));
  } catch {
    return null;
  }
}
