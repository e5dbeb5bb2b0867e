// One side of the page: a user, and the view that the user looks at. Adding a view is one line in VIEWS.

import { Api } from "../api.js";
import { h } from "../dom.js";
import { Session } from "../session.js";
import { conversation } from "./conversation.js";
import { home, tag, trending } from "./feeds.js";
import { notifications } from "./notifications.js";
import { blocks, followers, following, lookup, mutes, profile, profileForm, settings } from "./people.js";
import { search } from "./search.js";
import { handleFor, signIn } from "./sign-in.js";
import { statistics } from "./statistics.js";

const VIEWS = {
  home, trending, tag, post: conversation, profile, followers, following, people: lookup, mutes, blocks, settings,
  notifications, search, statistics };
const MENU = { home: "Home", trending: "Trending", search: "Search", people: "People", notifications: "Notifications" };

/** The sides that showed a new view, newest last: the browser's back button takes the newest one back. */
export const visits = [];

class Client extends HTMLElement {
  /** The client of one side, "a" or "b". */
  begin(side, config) {
    this.session = new Session(side, config);
    this.api = new Api(config.api, this.session);
    this.trail = [];
    this.session.addEventListener("change", () => this.#enter());
    this.session.addEventListener("expired", () => this.#signIn("Your session has ended. Sign in again."));
    this.session.addEventListener("lost", () => this.#enter());
    globalThis.addEventListener("tidings-reach", ({ detail: reached }) => reached && this.unreached?.());
    this.addEventListener("go", ({ detail }) => this.go(detail));
    this.#enter();
    return this;
  }

  async #enter() {
    const { session } = this;
    if (!session.signedIn) return this.#signIn();
    this.trail = [];
    this.unreached = null;
    try {
      session.profile = await this.api.get("/v1/me");
    } catch (error) {
      if (error.code === "profile_not_found") return this.#welcome();
      if (error.status === 401) return undefined;
      return this.#failed(error, () => this.#enter());
    }
    return this.go({ view: "home" }, true);
  }

  #signIn(note) { this.replaceChildren(signIn(this.session, note)); }

  /** Makes a profile from the user's name, or asks if this is not possible. */
  async #welcome() {
    const { session } = this;
    const start = { handle: handleFor(session.user), display_name: [...session.user].slice(0, 50).join("") };
    const enter = (made) => {
      session.profile = made;
      this.go({ view: "home" }, true);
    };
    try {
      enter(await this.api.put("/v1/me", start));
    } catch (error) {
      this.replaceChildren(h("section", { class: "sign-in" }, h("h2", {}, "Your profile"),
        h("p", { role: "status" }, error.message), profileForm(this, start, "Create profile", enter)));
    }
  }

  /** Shows a view. With `instead`, the way back leads to the view before this one. */
  async go(view, instead = false) {
    if (instead) this.trail.pop();
    this.trail.push(view);
    if (!instead) {
      visits.push(this.session.side);
      history.pushState(null, "");
    }
    await this.#show();
  }

  /** Shows the view before, as the browser's button does. */
  async back() {
    if (this.trail.length < 2) return;
    this.trail.pop();
    await this.#show();
  }

  async #show() {
    const view = this.trail.at(-1);
    const { session } = this;
    if (!session.signedIn) return;
    const menu = h("nav", { class: "menu", "aria-label": "Feed" },
      this.trail.length > 1 && h("button", { onclick: () => history.back(), "aria-label": "Back" }, "←"),
      Object.entries(MENU).map(([name, label]) => h("button", { onclick: () => this.go({ view: name }),
        "aria-current": view.view === name && "page" }, label)),
      h("span", { class: "who" },
        h("button", { class: "me", onclick: () => this.go({ view: "profile", user: session.user }),
          title: "Your profile" }, h("bdi", {}, session.profile?.display_name ?? session.user)),
        h("button", { onclick: () => session.signOut() }, "Sign out")));
    const slot = h("div", { class: "view", tabindex: "-1" }, h("p", { class: "note" }, "Loading …"));
    const focused = this.contains(document.activeElement);
    this.replaceChildren(menu, slot);
    this.unreached = null;
    // The button that led here is gone. Who uses the keyboard goes on at the view.
    if (focused) slot.focus({ preventScroll: true });
    try {
      const shown = await VIEWS[view.view](this, view);
      if (this.trail.at(-1) === view) slot.replaceChildren(shown);
    } catch (error) {
      if (this.trail.at(-1) === view) this.#failed(error, () => this.#show(), slot);
    }
    this.closest(".pane")?.scrollTo(0, 0);
  }

  #failed(error, again, slot = this) {
    if (error.code === "offline") this.unreached = again;
    slot.replaceChildren(h("div", { class: "failed" }, h("p", { role: "alert" }, error.message),
      error.passes === false ? this.trail.length > 1 && h("button", { onclick: () => history.back() }, "Go back")
        : h("button", { onclick: again }, "Try again")));
  }
}

customElements.define("tidings-client", Client);

export const client = (side, config) => new Client().begin(side, config);
