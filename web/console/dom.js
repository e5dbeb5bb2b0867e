// Makes elements. Strings become text nodes, never markup, so that no user's text can be anything but text.

/** `h("button", { class: "x", onclick: f }, "Text", element)`. Properties that are null or false are left out. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Tells the surrounding client, for example which view to show. */
export function tell(element, name, detail) {
  element.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
}

/** A number that is never used twice, for ids of elements. */
let ids = 0;
export const uid = (prefix) => `${prefix}-${++ids}`;

/** Says a text to users of screen readers. */
export function say(text) {
  let region = document.getElementById("said");
  if (!region) {
    region = h("div", { id: "said", class: "hidden", role: "status" });
    document.body.append(region);
  }
  region.textContent = text;
}
