// Shows what users wrote. Everything becomes text nodes. Only entities that the API found become links, and a link to
// another site only if its URL is http or https.

import { h, tell } from "./dom.js";

/** The text with its tags, mentions and links. `start` and `end` count code points. */
export function rich(text, entities) {
  const points = [...text];
  const parts = [];
  let at = 0;
  for (const entity of entities ?? []) {
    if (entity.start < at || entity.end > points.length) continue;
    parts.push(points.slice(at, entity.start).join(""));
    const written = points.slice(entity.start, entity.end).join("");
    parts.push(linked(written, entity));
    at = entity.end;
  }
  parts.push(points.slice(at).join(""));
  return h("p", { class: "text", dir: "auto" }, parts.filter((part) => part !== ""));
}

function linked(written, entity) {
  if (entity.type === "tag") return viewLink(written, { view: "tag", tag: entity.tag });
  if (entity.type === "mention") return viewLink(written, { view: "profile", user: `@${entity.handle}` });
  return webLink(entity.url, written);
}

/** A link to another site, or only its text if the URL is not one for a browser. */
export function webLink(url, written) {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (!["http:", "https:"].includes(parsed?.protocol)) return written;
  return h("a", { href: parsed.href, target: "_blank", rel: "noopener noreferrer nofollow ugc" }, written);
}

/** A link to another view of the same client. */
export function viewLink(content, view, properties = {}) {
  const link = h("a", { href: "#", ...properties }, content);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    tell(link, "go", view);
  });
  return link;
}

/** A person's name as a link to the profile. `bdi` keeps its direction to itself. */
export function personLink(person, id) {
  const name = h("bdi", { class: "name" }, person.display_name ?? `@${person.handle}`);
  return viewLink([name, " ", h("span", { class: "handle" }, `@${person.handle}`)],
    { view: "profile", user: person.id }, { class: "person", id });
}

/** A coloured disc with the first letter. Pictures of users are not loaded: their servers would see who reads. */
export function avatar(person) {
  const letter = [...new Intl.Segmenter().segment(person.display_name ?? person.handle)][0]?.segment ?? "?";
  return h("span", { class: `avatar hue-${hue(person.id)}`, "aria-hidden": "true" }, letter.toUpperCase());
}

/** One of 8 colours, the same for every appearance of a user. */
export function hue(id) {
  let sum = 0;
  for (const c of id) sum = (sum * 31 + c.codePointAt(0)) % 4096;
  return sum % 8;
}

const relative = new Intl.RelativeTimeFormat("en", { style: "narrow", numeric: "auto" });
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

/** A time such as "3 min. ago". */
export const time = (iso) => h("time", { datetime: iso, title: new Date(iso).toLocaleString() }, ago(iso));

function ago(iso) {
  const seconds = Math.max(0, (Date.now() - new Date(iso)) / 1000);
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ["second", 1];
  return seconds < 5 ? "now" : relative.format(-Math.floor(seconds / length), unit);
}

/** Brings all shown times up to date. */
export function age() {
  for (const element of document.querySelectorAll("time")) {
    const shown = ago(element.dateTime);
    if (shown !== element.textContent) element.textContent = shown;
  }
}

const segmenter = new Intl.Segmenter();
/** The length in characters as the API counts them: grapheme clusters. */
export const characters = (text) => [...segmenter.segment(text)].length;
