// Search for posts by their words, and for people by the beginnings of their names.

import { h, uid } from "../dom.js";
import { posts } from "./feeds.js";
import { people } from "./people.js";

const KINDS = { newest: "Newest posts", top: "Best posts", people: "People" };
const HINT = "All words must match. “A phrase” in quotes; -word for posts without it; from:@handle; #tag.";

/** A view has what was searched for, so that the way back leads to its results. */
export function search(client, { q = "", kind = "newest" }) {
  const id = uid("search");
  const input = h("input", { id, type: "search", value: q, required: true, dir: "auto", autocomplete: "off",
    spellcheck: "false", "aria-describedby": kind !== "people" && `${id}-hint` });
  // Another search is a step back to this one; another kind of results is none.
  const find = (changed, instead) => client.go({ view: "search", q: input.value.trim(), kind, ...changed }, instead);
  const form = h("form", { class: "line", role: "search", onsubmit: (event) => {
    event.preventDefault();
    find({}, q === "");
  } }, h("label", { for: id }, "Search for"), input, h("button", { class: "primary" }, "Search"));
  const kinds = h("fieldset", { class: "orders" }, h("legend", { class: "hidden" }, "What to find"),
    Object.entries(KINDS).map(([value, label]) => h("button", {
      "aria-pressed": String(value === kind), onclick: () => find({ kind: value }, true) }, label)));
  return h("div", {}, h("h2", {}, "Search"), form,
    kind !== "people" && h("p", { class: "note", id: `${id}-hint` }, HINT), kinds,
    q !== "" && results(client, q, kind));
}

function results(client, q, kind) {
  const label = `${KINDS[kind]} for ${q}`;
  if (kind === "people") {
    return people(client, "/v1/search/users", { q }, label, "Nobody has a name that begins so.");
  }
  return posts(client, "/v1/search/posts", { q, order: kind }, { label, empty: "No post has all of this." });
}
