// A line chart of the last minute: one value a second for each line.

import { h, s } from "../dom.js";

const SECONDS = 60;
const WIDTH = 300;
const HEIGHT = 64;

/** What the classes of lines or shapes mean. */
export const key = (names, label) => h("ul", { class: "key", "aria-label": label },
  Object.entries(names).map(([name, text]) => h("li", { class: name }, text)));

/** `names` says what each line is. `chart.add({ p50: 12, p99: null })` adds a second; null is a gap. */
export function chart(title, names) {
  const lines = Object.keys(names);
  const values = [];
  const paths = lines.map((line) => s("path", { class: `trace ${line}` }));
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "chart", role: "img",
    "aria-label": title }, paths);
  const top = h("span", { class: "scale" });
  const caption = h("figcaption", {}, title);
  const add = (second) => {
    values.push(second);
    if (values.length > SECONDS) values.shift();
    const known = values.flatMap((value) => lines.map((line) => value[line])).filter((value) => value !== null);
    const max = Math.max(100, ...known);
    top.textContent = `${Math.round(max)} ms`;
    lines.forEach((line, index) => {
      let pen = "M";
      const parts = values.map((value, at) => {
        if (value[line] === null) {
          pen = "M";
          return "";
        }
        const x = (at + SECONDS - values.length) * WIDTH / (SECONDS - 1);
        const drawn = `${pen}${x.toFixed(1)} ${(HEIGHT - 2 - value[line] / max * (HEIGHT - 8)).toFixed(1)}`;
        pen = "L";
        return drawn;
      });
      paths[index].setAttribute("d", parts.join(" ").trim());
    });
  };
  return { element: h("figure", { class: "chart-figure" }, caption, key(names, "Lines"), top, svg), add };
}
