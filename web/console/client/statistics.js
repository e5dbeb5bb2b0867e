// What each day has brought an author: GET /v1/me/stats.

import { h, s } from "../dom.js";

const DAY_MS = 86_400_000;
const RANGES = { 7: "7 days", 30: "30 days", 90: "90 days" };
const NUMBERS = {
  posts: "Posts",
  likes_received: "Likes",
  comments_received: "Comments",
  followers_gained: "New followers",
  followers_lost: "Lost followers",
};
const WIDTH = 300;
const HEIGHT = 48;

export async function statistics(client, { days = "30" }) {
  const now = Date.now();
  // Days are those of UTC.
  const date = (ago) => new Date(now - ago * DAY_MS).toISOString().slice(0, 10);
  const ranges = h("fieldset", { class: "orders" }, h("legend", { class: "hidden" }, "How many days"),
    Object.entries(RANGES).map(([value, label]) => h("button", {
      "aria-pressed": String(value === days),
      onclick: () => client.go({ view: "statistics", days: value }, true) }, label)));
  const view = h("div", {}, h("h2", {}, "Your numbers"), ranges);
  try {
    const shown = await client.api.get("/v1/me/stats", { from: date(Number(days) - 1), to: date(0) });
    view.append(...numbers(shown.days));
  } catch (error) {
    if (error.passes) throw error;
    // Perhaps fewer days are kept.
    view.append(h("p", { role: "alert" }, error.message));
  }
  return view;
}

function numbers(days) {
  const names = Object.keys(NUMBERS);
  if (days.every((day) => names.every((name) => day[name] === 0))) {
    return [h("p", { class: "note" }, "Nothing has happened on these days.")];
  }
  return [h("p", { class: "note" }, "Days are those of UTC. Today’s numbers are up to a minute old."),
    ...names.map((name) => bars(NUMBERS[name], days.map((day) => day[name]))), table(days)];
}

/** One bar for each day. The table has the same numbers, so that the drawing has nothing to say to screen readers. */
function bars(title, values) {
  const max = Math.max(1, ...values);
  const step = WIDTH / values.length;
  const bar = (value, at) => value > 0 && s("rect", { class: "bar", x: (at * step).toFixed(2),
    y: (HEIGHT * (1 - value / max)).toFixed(2), width: (step * 0.8).toFixed(2),
    height: (HEIGHT * value / max).toFixed(2) });
  const sum = values.reduce((all, value) => all + value, 0);
  return h("figure", { class: "chart-figure", "aria-hidden": "true" }, h("figcaption", {}, `${title}: ${sum}`),
    h("span", { class: "scale" }, `${max} a day`),
    s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "chart" }, values.map(bar)));
}

/** Newest day first. */
function table(days) {
  const names = Object.entries(NUMBERS);
  return h("div", { class: "scroll" }, h("table", {}, h("caption", { class: "hidden" }, "Numbers of each day"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Day"),
      names.map(([, label]) => h("th", { scope: "col" }, label)))),
    h("tbody", {}, [...days].reverse().map((day) => h("tr", {}, h("th", { scope: "row" }, day.day),
      names.map(([name]) => h("td", {}, String(day[name]))))))));
}
