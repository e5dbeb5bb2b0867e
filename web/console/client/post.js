// A post: who, what and when, its buttons, and why it has its place in a ranked feed.

import { h, say, tell, uid } from "../dom.js";
import { avatar, personLink, rich, time, viewLink } from "../text.js";
import { composer } from "./composer.js";

export const POST_CHARACTERS_MAX = 300;

/** Why a hashtag does not lead to the post. */
const IGNORED = { too_many: "a post has at most five tags", too_long: "a tag has at most 64 characters" };

export class Post extends HTMLElement {
  /** Shows `post` to the user of `client`. */
  show(post, client, options = {}) {
    Object.assign(this, { post, client, options });
    this.setAttribute("data-post", post.id);
    this.draw();
    return this;
  }

  draw() {
    const { post, client, options } = this;
    const id = uid("post");
    const own = post.author.id === client.session.user;
    this.error = h("p", { class: "error", role: "alert" });
    this.article = h("article", { class: "post", "aria-labelledby": id, tabindex: "-1" },
      avatar(post.author),
      h("header", {}, personLink(post.author, id), " ", viewLink(time(post.created_at), { view: "post", post: post.id },
        { class: "when" }), post.edited_at && h("span", { class: "mark", title: post.edited_at }, "edited"),
        post.source === "trending" && h("span", { class: "mark" }, "trending")),
      rich(post.text, post.entities),
      own && post.ignored_tags?.map(({ tag, reason }) => h("p", { class: "why" }, h("bdi", {}, `#${tag}`),
        ` is only text: ${IGNORED[reason] ?? reason}.`)),
      h("div", { class: "actions" },
        this.#likeButton(),
        !options.open && h("button", { onclick: () => tell(this, "go", { view: "post", post: post.id }),
          "aria-label": `${count(post.comments, "comment")}: open` }, `💬 ${post.comments}`),
        own && h("button", { onclick: () => this.#edit() }, "Edit"),
        own && h("button", { onclick: (event) => this.#delete(event.currentTarget) }, "Delete")),
      post.explain && explanation(post.explain),
      this.error);
    this.replaceChildren(this.article);
  }

  #likeButton() {
    const { post } = this;
    return h("button", { class: "like", "aria-pressed": String(post.liked), onclick: () => this.#like(),
      "aria-label": `Like, ${count(post.likes, "like")}` }, `${post.liked ? "♥" : "♡"} ${post.likes}`);
  }

  async #like() {
    const { post, client } = this;
    const path = `/v1/posts/${post.id}/like`;
    await this.#try(async () => {
      await (post.liked ? client.api.delete(path) : client.api.put(path));
      // Counts lag behind the like, so the page counts the user's own one itself.
      post.likes = Math.max(0, post.likes + (post.liked ? -1 : 1));
      post.liked = !post.liked;
      const button = this.#likeButton();
      this.querySelector(".like").replaceWith(button);
      button.focus();
    });
  }

  #edit() {
    const { post, client } = this;
    const draw = () => {
      this.draw();
      this.article.focus();
    };
    const form = composer({
      label: "Edit the post",
      button: "Save",
      max: POST_CHARACTERS_MAX,
      name: `edit:${client.session.user}:${post.id}`,
      text: post.text,
      cancel: draw,
      send: async (text) => {
        const { likes, comments, liked, ...changed } = await client.api.patch(`/v1/posts/${post.id}`, { text });
        Object.assign(post, changed);
        draw();
      },
    });
    this.querySelector(".text").replaceWith(form);
    form.focus();
  }

  /** The first click asks, the second one deletes. */
  async #delete(button) {
    if (button.dataset.sure === undefined) {
      button.dataset.sure = "";
      button.textContent = "Really delete?";
      button.addEventListener("blur", () => {
        delete button.dataset.sure;
        button.textContent = "Delete";
      }, { once: true });
      return;
    }
    await this.#try(async () => {
      await this.client.api.delete(`/v1/posts/${this.post.id}`);
      say("The post is deleted.");
      tell(this, "deleted", this.post.id);
      this.remove();
    });
  }

  async #try(action) {
    this.error.textContent = "";
    try {
      await action();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }
}

customElements.define("tidings-post", Post);

export const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

/** The factors of the score of a ranked post. */
function explanation({ score, recency, engagement, affinity, diversity }) {
  const factors = [
    ["recency", recency, "1 for a new post; halves every six hours"],
    ["reactions", engagement, "1 plus its heat, counted in likes"],
    ["affinity", affinity, "how often you liked this author's posts"],
    ["diversity", diversity, "less for each further post by one author"],
  ];
  const each = ([name, value, title]) => [" × ", h("span", { title }, `${name} ${number(value)}`)];
  return h("details", { class: "why" }, h("summary", {}, `Why here? Score ${number(score)}`),
    h("p", {}, `${number(score)} = `, factors.flatMap(each).slice(1)));
}

const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 });
