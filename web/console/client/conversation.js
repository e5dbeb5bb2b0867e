// A post with its comments.

import { h, say } from "../dom.js";
import { avatar, personLink, rich, time } from "../text.js";
import { composer } from "./composer.js";
import { list } from "./list.js";
import { Post } from "./post.js";

const COMMENT_CHARACTERS_MAX = 1_000;
const PAGE = 30;

export async function conversation(client, view) {
  const post = await client.api.get(`/v1/posts/${view.post}`);
  const path = `/v1/posts/${post.id}/comments`;
  const own = post.author.id === client.session.user;
  const settings = { order: "oldest", include_hidden: null };
  const slot = h("div");
  const draw = () => slot.replaceChildren(list({
    load: async (cursor) => {
      const page = await client.api.get(path, { ...settings, limit: PAGE, cursor });
      return { entries: page.comments, next: page.next_cursor };
    },
    id: (comment) => comment.id,
    show: (comment) => shown(client, post, comment),
    label: "Comments",
    empty: "No comments yet.",
    end: "No more comments.",
  }));
  const write = composer({
    label: "Your comment",
    button: "Comment",
    max: COMMENT_CHARACTERS_MAX,
    name: `comment:${client.session.user}:${post.id}`,
    send: async (text, key) => {
      await client.api.post(path, { text }, key);
      draw();
    },
  });
  const newest = h("button", { "aria-pressed": "false", onclick: () => toggle(newest, "order", "newest", "oldest") },
    "Newest first");
  const hidden = h("button", { "aria-pressed": "false", onclick: () => toggle(hidden, "include_hidden", true, null) },
    "Show hidden ones");
  const toggle = (button, name, on, off) => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(pressed));
    settings[name] = pressed ? on : off;
    draw();
  };
  draw();
  const element = h("div", {}, new Post().show(post, client, { open: true }), h("h2", {}, "Comments"), write,
    h("div", { class: "orders" }, newest, own && hidden), slot);
  element.addEventListener("deleted", () => client.go({ view: "home" }));
  return element;
}

function shown(client, post, comment) {
  const me = client.session.user;
  const id = `comment-${client.session.side}-${comment.id}`;
  const error = h("p", { class: "error", role: "alert" });
  const remove = async () => {
    try {
      await client.api.delete(`/v1/posts/${post.id}/comments/${comment.id}`);
      article.remove();
      say("The comment is deleted.");
    } catch (failure) {
      error.textContent = failure.message;
    }
  };
  const mayDelete = comment.author.id === me || post.author.id === me;
  const article = h("article", { class: "post comment", "aria-labelledby": id, tabindex: "-1" }, avatar(comment.author),
    h("header", {}, personLink(comment.author, id), " ", time(comment.created_at),
      comment.hidden && h("span", { class: "mark" }, "hidden from you")),
    rich(comment.text, comment.entities),
    mayDelete && h("div", { class: "actions" }, h("button", { onclick: remove }, "Delete")), error);
  return article;
}
