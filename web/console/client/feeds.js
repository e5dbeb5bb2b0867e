// Views with posts: home in its orders, trending, tags.

import { h } from "../dom.js";
import { composer } from "./composer.js";
import { list } from "./list.js";
import { Post, POST_CHARACTERS_MAX } from "./post.js";

/** How often the home feed is asked for new posts. */
const NEWS_INTERVAL_MS = 4_000;
/** A home says no higher number of new posts. */
const NEWS_MAX = 100;
const PAGE = 20;

const ORDERS = { chronological: "Newest", ranked: "Ranked", personalized: "For you" };

/** A list of the posts at `path`. `onPage` is told of each page. */
export function posts(client, path, query, { onPage, ...options }) {
  return list({
    load: async (cursor) => {
      const page = await client.api.get(path, { ...query, limit: PAGE, cursor });
      onPage?.(page);
      return { entries: page.posts, next: page.next_cursor };
    },
    id: (post) => post.id,
    show: (post) => new Post().show(post, client),
    ...options,
  });
}

class Home extends HTMLElement {
  show(client, { order = "chronological" }) {
    Object.assign(this, { client, order });
    const orders = h("fieldset", { class: "orders" }, h("legend", { class: "hidden" }, "Order of the feed"),
      Object.entries(ORDERS).map(([value, label]) => h("button", {
        "aria-pressed": String(value === order),
        onclick: () => client.go({ view: "home", order: value }, true),
      }, label)));
    this.news = h("button", { class: "news", hidden: true, onclick: () => this.refresh(true) });
    const write = composer({
      label: "What is new?",
      button: "Post",
      max: POST_CHARACTERS_MAX,
      name: `post:${client.session.user}`,
      send: async (text, key) => {
        await client.api.post("/v1/posts", { text }, key);
        await this.refresh();
      },
    });
    this.replaceChildren(write, orders, this.news);
    this.refresh();
    return this;
  }

  connectedCallback() { this.timer = setInterval(() => this.#look(), NEWS_INTERVAL_MS); }
  disconnectedCallback() { clearInterval(this.timer); }

  /** Reads the feed anew, with what the user has just done. */
  async refresh(focus = false) {
    const { client, order } = this;
    this.news.hidden = true;
    const life = client.session.config.development ? " Or press “Bring it to life” under “Inside”." : "";
    const empty = `Nothing here yet. Write the first post, or follow somebody from “People”.${life}`;
    const query = order === "chronological" ? {} : { order, explain: true };
    const end = "These are the posts of 30 days.";
    this.newest = undefined;
    const onPage = (page) => { if (next === this.list) this.newest ??= page.newest; };
    const next = posts(client, "/v1/feeds/home", query, { label: "Home", empty, end, onPage });
    if (this.list) this.list.replaceWith(next);
    else this.append(next);
    this.list = next;
    await new Promise((done) => { queueMicrotask(done); });
    await next.ready;
    if (focus) this.querySelector("article")?.focus();
  }

  /** Asks whether there are new posts, and says how many. */
  async #look() {
    const { client, list, newest } = this;
    if (document.hidden || !this.checkVisibility() || !newest) return;
    try {
      const { new: count } = await client.api.get("/v1/feeds/home", { newer_than: newest });
      if (list !== this.list || count === 0) return;
      this.news.textContent = `${count}${count === NEWS_MAX ? "+" : ""} new post${count === 1 ? "" : "s"}`;
      this.news.hidden = false;
    } catch {
      // The banner says that the server cannot be reached. The next try comes soon.
    }
  }
}

customElements.define("tidings-home", Home);

export const home = (client, view) => new Home().show(client, view);

export function trending(client) {
  const empty = "Nothing trends yet. A post trends when others like it or comment on it.";
  return h("div", {}, h("h2", {}, "Trending"),
    posts(client, "/v1/feeds/trending", { explain: true }, { label: "Trending", empty, end: "No more posts trend." }));
}

export function tag(client, view) {
  const path = `/v1/tags/${encodeURIComponent(view.tag)}/posts`;
  const empty = "No post of the last 30 days has this tag.";
  return h("div", {}, h("h2", { dir: "auto" }, `#${view.tag}`),
    posts(client, path, {}, { label: `Posts with the tag ${view.tag}`, empty }));
}
