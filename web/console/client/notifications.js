// What others did that concerns the user. Whoever looks has seen it.

import { h } from "../dom.js";
import { avatar, personLink, time, viewLink } from "../text.js";
import { list } from "./list.js";

const PAGE = 20;
/** Longest beginning of a post that a notification shows, in code points. */
const TEXT_MAX = 80;

const DONE = {
  like: "liked your post",
  comment: "commented on your post",
  mention: "mentioned you",
  follow: "followed you",
};

export function notifications(client) {
  let seen = false;
  return h("div", {}, h("h2", {}, "Notifications"), list({
    load: async (cursor) => {
      const page = await client.api.get("/v1/me/notifications", { limit: PAGE, cursor });
      const newest = page.notifications[0]?.at;
      if (newest && !seen) await client.api.put("/v1/me/notifications/seen", { up_to: newest });
      seen = true;
      return { entries: page.notifications, next: page.next_cursor };
    },
    id: ({ kind, post, at }) => `${kind} ${post?.id ?? at}`,
    show: row,
    role: "list",
    label: "Notifications",
    empty: "Nobody has done anything that concerns you yet.",
    end: "These are the notifications of 30 days.",
  }));
}

function row({ kind, post, count, people, at, unread }) {
  const [first, ...others] = people;
  const more = kind === "comment" || kind === "mention" ? others.length : count - 1;
  const times = (kind === "comment" || kind === "mention") && count > 1 && ` ${count} times`;
  return h("div", { class: "row", role: "listitem" }, avatar(first), personLink(first),
    more > 0 && ` and ${more} other${more === 1 ? "" : "s"}`, ` ${DONE[kind]}`, times,
    post && [" ", viewLink(beginning(post.text), { view: "post", post: post.id })], " ", time(at),
    unread && h("span", { class: "mark" }, "new"));
}

function beginning(text) {
  const points = [...(text ?? "")];
  const shown = points.slice(0, TEXT_MAX).join("");
  return h("bdi", {}, `“${shown}${points.length > TEXT_MAX ? "…" : ""}”`);
}
