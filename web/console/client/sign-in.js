// Signing in: as any user of the local stack, with a token, or with an OpenID Connect provider.

import { h, uid } from "../dom.js";
import { begin } from "../oidc.js";

const NAMES = { a: "Ada", b: "Bob" };

/** The form. `note` says why it is shown again. */
export function signIn(session, note) {
  const { config, side } = session;
  const error = h("p", { class: "error", role: "alert" }, note);
  const attempt = (action) => async (event) => {
    event.preventDefault();
    error.textContent = "";
    try {
      await action();
    } catch (failure) {
      error.textContent = failure.message;
    }
  };
  const id = uid("name");
  const name = h("input", { id, required: true, value: NAMES[side], maxlength: 50, autocomplete: "off" });
  const development = config.development && h("form", { class: "line", onsubmit: attempt(() => {
    const user = name.value.trim();
    if (!user) throw new Error("A name is needed.");
    return session.signInAs(user);
  }) }, h("label", { for: id }, "Sign in as"), name, h("button", { class: "primary" }, "Sign in"));
  const provider = config.oidc && h("button", { class: "primary", onclick: attempt(() => begin(config.oidc, side)) },
    `Sign in with ${new URL(config.oidc.issuer).host}`);
  const tokenId = uid("token");
  const token = h("textarea", { id: tokenId, rows: 3, required: true, autocomplete: "off", spellcheck: "false" });
  const pasted = h("form", { class: "stack", onsubmit: attempt(() => session.signInWith(token.value.trim())) },
    h("label", { for: tokenId }, "A token of the API's issuer"), token, h("button", {}, "Use this token"));
  return h("section", { class: "sign-in" }, h("h2", {}, side === "a" ? "Welcome" : "A second user"),
    side === "a" && h("p", {}, "This is a client of Tidings, the backend of a social feed.",
      config.development && " You can be anybody here: this system runs on your machine only."),
    side === "a" && config.development && h("ol", {}, h("li", {}, "Sign in, and write a post."),
      h("li", {}, "Under “Inside”, follow the dot of your post through the system."),
      h("li", {}, "Bring the system to life: 40 users follow you, post, like and comment."),
      h("li", {}, "Kill a function, and see the system recover.")),
    development, provider,
    h("details", { open: !development && !provider }, h("summary", {}, "Sign in with a token"), pasted), error);
}

/** A handle for a name: what a handle may consist of, and at least 3 characters. */
export function handleFor(name) {
  const plain = name.normalize("NFKD").toLowerCase().replace(/[^a-z0-9_]+/g, "_").replace(/^_+|_+$/g, "");
  return (plain || "user").slice(0, 30).padEnd(3, "_");
}
