// The page: which parts are shown side by side, and a banner while the server cannot be reached.

import { client, visits } from "./client/client.js";
import { load } from "./config.js";
import { h } from "./dom.js";
import { complete } from "./oidc.js";
import { inside } from "./inside/inside.js";
import { age } from "./text.js";

/** As in base.css: below this width, one part is shown at a time. */
const NARROW = matchMedia("(max-width: 60rem)");
/** How often times such as "3 min. ago" are brought up to date. */
const AGE_MS = 20_000;
const PARTS = { a: "Feed", b: "Second user", inside: "Inside" };

const panes = document.getElementById("panes");
const shown = new Set(["a", "inside"]);
const buttons = {};

async function begin() {
  const config = await load();
  document.querySelector(".docs").hidden = !config.development;
  const returned = await complete(config.oidc).catch((error) => ({ error }));
  const visitors = () =>
    [made.a, made.b].filter((side) => side?.session.profile).map((side) => side.session.user);
  const made = {
    a: client("a", config),
    b: null,
    inside: inside(config, visitors),
  };
  if (returned?.error) made.a.prepend(h("p", { class: "error", role: "alert" }, returned.error.message));
  if (returned?.token) {
    shown.add(returned.side);
    (made[returned.side] ??= client(returned.side, config)).session.signInWith(returned.token, "oidc");
  }
  const draw = () => {
    for (const part of shown) made[part] ??= client(part, config);
    const order = Object.keys(PARTS).filter((part) => made[part]);
    // What is not shown stays in the page, so that the inside view goes on watching.
    order.map((part) => document.getElementById(`pane-${part}`) ?? pane(part, made[part])).forEach((pane, at) => {
      if (panes.children[at] !== pane) panes.insertBefore(pane, panes.children[at] ?? null);
      pane.hidden = !shown.has(order[at]);
    });
    panes.dataset.shown = order.filter((part) => shown.has(part)).join(" ");
    for (const [part, button] of Object.entries(buttons)) {
      button.setAttribute("aria-pressed", String(shown.has(part)));
    }
  };
  const choose = (part) => {
    if (NARROW.matches) {
      shown.clear();
      shown.add(part);
    } else if (shown.has(part) && shown.size > 1) shown.delete(part);
    else shown.add(part);
    draw();
  };
  const fit = () => {
    if (NARROW.matches) choose(returned?.side ?? "a");
    else {
      shown.add("a").add("inside");
      draw();
    }
  };
  for (const [part, label] of Object.entries(PARTS)) {
    buttons[part] = h("button", { "aria-pressed": "false", onclick: () => choose(part) }, label);
    document.getElementById("switches").append(buttons[part]);
  }
  NARROW.addEventListener("change", fit);
  fit();
  setInterval(age, AGE_MS);
  globalThis.addEventListener("popstate", () => {
    const side = visits.pop();
    made[side]?.back();
  });
}

function pane(part, element) {
  const id = `pane-${part}`;
  return h("section", { class: `pane ${id}`, id, "aria-label": PARTS[part], tabindex: "0" }, element);
}

const banner = document.getElementById("offline");
globalThis.addEventListener("tidings-reach", ({ detail: reached }) => {
  banner.textContent = reached ? "" : "The server cannot be reached. What you see may be old. Trying again …";
  banner.hidden = reached;
});

begin().catch((error) => {
  panes.replaceChildren(h("p", { class: "error", role: "alert" }, `The page cannot start: ${error.message}`));
});
