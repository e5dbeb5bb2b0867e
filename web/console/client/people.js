// People: profiles, followers, followed, muted and blocked users, the user's own profile, and looking somebody up.

import { userPath } from "../api.js";
import { h, uid } from "../dom.js";
import { avatar, personLink, viewLink, webLink } from "../text.js";
import { posts } from "./feeds.js";
import { list } from "./list.js";
import { count } from "./post.js";

const PAGE = 50;

export async function profile(client, view) {
  const user = await client.api.get(userPath(view.user));
  const own = user.id === client.session.user;
  const { relation } = user;
  const error = h("p", { class: "error", role: "alert" });
  const again = () => client.go({ view: "profile", user: user.id }, true);
  const toggle = (name, on, off, active) => h("button", {
    "aria-pressed": String(active),
    onclick: async () => {
      try {
        const path = `${userPath(user.id)}/${name}`;
        await (active ? client.api.delete(path) : client.api.put(path));
        await again();
      } catch (failure) {
        error.textContent = failure.message;
      }
    },
  }, active ? off : on);
  const remove = h("button", { onclick: async () => {
    try {
      await client.api.delete(`/v1/me/followers/${encodeURIComponent(user.id)}`);
      await again();
    } catch (failure) {
      error.textContent = failure.message;
    }
  } }, "Remove follower");
  const closed = relation.blocked || relation.blocked_by;
  const counts = !closed && h("p", {},
    viewLink(count(user.followers, "follower"), { view: "followers", user: user.id }), " · ",
    viewLink(`${user.following} followed`, { view: "following", user: user.id }),
    relation.followed_by && h("span", { class: "mark" }, "follows you"));
  const buttons = own
    ? h("div", { class: "actions" }, h("button", { onclick: () => client.go({ view: "settings" }) }, "Edit profile"),
      h("button", { onclick: () => client.go({ view: "statistics" }) }, "Your numbers"))
    : h("div", { class: "actions" },
      !closed && toggle("follow", "Follow", "Unfollow", relation.following),
      toggle("mute", "Mute", "Unmute", relation.muted), toggle("block", "Block", "Unblock", relation.blocked),
      !closed && relation.followed_by && remove);
  const state = relation.blocked ? "You block this user." : relation.blocked_by ? "This user blocks you." : null;
  return h("div", {},
    h("section", { class: "profile" }, avatar(user),
      h("h2", {}, h("bdi", {}, user.display_name ?? `@${user.handle}`)),
      user.display_name && h("p", { class: "handle" }, `@${user.handle}`),
      user.avatar_url && h("p", {}, webLink(user.avatar_url, "Picture")), counts, state && h("p", {}, state), buttons,
      error),
    !closed && posts(client, `${userPath(user.id)}/posts`, {}, {
      label: `Posts by ${user.handle}`, empty: "No posts yet.", end: "These are all posts." }));
}

/** A list of the people at `path`. */
export function people(client, path, query, label, empty) {
  return list({
    load: async (cursor) => {
      const page = await client.api.get(path, { ...query, limit: PAGE, cursor });
      return { entries: page.users, next: page.next_cursor };
    },
    id: (person) => person.id,
    show: row,
    role: "list",
    label,
    empty,
  });
}

/** A view with a list of people. */
const listed = (client, path, title, empty) => h("div", {}, h("h2", {}, title), people(client, path, {}, title, empty));

const row = (person) => h("div", { class: "row person-row", role: "listitem" }, avatar(person), personLink(person));

export const followers = (client, { user }) =>
  listed(client, `${userPath(user)}/followers`, "Followers", "Nobody follows yet.");
export const following = (client, { user }) =>
  listed(client, `${userPath(user)}/following`, "Followed", "Nobody is followed yet.");

/** Looks up a handle, and suggests authors whose posts trend. */
export function lookup(client) {
  const id = uid("handle");
  const input = h("input", { id, required: true, autocapitalize: "none", autocomplete: "off", spellcheck: "false" });
  const form = h("form", { class: "line", onsubmit: (event) => {
    event.preventDefault();
    client.go({ view: "profile", user: `@${input.value.trim().replace(/^@/, "")}` });
  } }, h("label", { for: id }, "Handle"), input, h("button", { class: "primary" }, "Look up"));
  const authors = new Set();
  return h("div", {}, h("h2", {}, "People"), form,
    h("p", { class: "links" }, viewLink("Whom I follow", { view: "following", user: client.session.user }), " · ",
      viewLink("My followers", { view: "followers", user: client.session.user }), " · ",
      viewLink("Muted", { view: "mutes" }), " · ", viewLink("Blocked", { view: "blocks" })),
    h("h3", {}, "Authors of trending posts"), list({
      load: async (cursor) => {
        const page = await client.api.get("/v1/feeds/trending", { limit: PAGE, cursor });
        const isNew = ({ id }) => id !== client.session.user && !authors.has(id) && authors.add(id);
        const entries = page.posts.map((post) => post.author).filter(isNew);
        return { entries, next: page.next_cursor };
      },
      id: (person) => person.id,
      show: row,
      role: "list",
      label: "Authors of trending posts",
      empty: "Nothing trends yet.",
    }));
}

export const mutes = (client) => listed(client, "/v1/me/mutes", "Muted", "You mute nobody.");
export const blocks = (client) => listed(client, "/v1/me/blocks", "Blocked", "You block nobody.");

/** The form of the user's own profile. `sent(profile)` is called when it was accepted. */
export function profileForm(client, start, button, sent) {
  const error = h("p", { class: "error", role: "alert" });
  const field = (name, label, properties) => {
    const id = uid(name);
    const input = h("input", { id, name, value: start[name] ?? "", ...properties });
    return [h("label", { for: id }, label), input];
  };
  const form = h("form", { class: "stack" },
    field("handle", "Handle: a to z, digits and _", { required: true, autocapitalize: "none", spellcheck: "false" }),
    field("display_name", "Name", { required: true, dir: "auto" }),
    field("avatar_url", "Address of a picture, if you like", { type: "url" }),
    h("button", { class: "primary" }, button), error);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { handle, display_name, avatar_url } = Object.fromEntries(new FormData(form));
    try {
      sent(await client.api.put("/v1/me", { handle, display_name, avatar_url: avatar_url || null }));
    } catch (failure) {
      error.textContent = failure.message;
    }
  });
  return form;
}

export async function settings(client) {
  const mine = await client.api.get("/v1/me");
  return h("div", {}, h("h2", {}, "Your profile"), profileForm(client, mine, "Save", (changed) => {
    client.session.profile = changed;
    client.go({ view: "profile", user: changed.id });
  }));
}
