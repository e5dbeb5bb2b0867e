// What the diagram consists of: its boxes, where they are, and what leads from one to the next. A wide diagram has five
// columns. On a phone, it has three, so that nothing of it is outside the screen.

export const BOX = { width: 116, height: 46 };
/** Between the middles of boxes. */
const COLUMN = { wide: 147, narrow: 132 };
const ROW = 78;
/** Between the edge and the outermost boxes: a dot needs it. */
const MARGIN = 12;

/** `wide` and `narrow` are columns and rows, from 0. */
export const BOXES = {
  client: { wide: [0, 0], narrow: [0, 0], name: "Clients", kind: "client", note: "this page, the demo" },
  command: { wide: [1, 0], narrow: [1, 0], name: "Command", functions: ["CreatePost"] },
  log: { wide: [2, 0], narrow: [2, 0], name: "Commands", kind: "table", note: "the truth" },
  publish: { wide: [3, 0], narrow: [2, 1], name: "PublishEvents", functions: ["PublishEvents"] },
  bus: { wide: [4, 0], narrow: [2, 2], name: "Bus (Kinesis)", kind: "queue", note: "hints" },
  query: { wide: [0, 1], narrow: [0, 1], name: "Queries", functions: ["GetFeed", "GetPost", "GetProfile"] },
  rows: { wide: [2, 1], narrow: [0, 2], name: "Home rows", kind: "table", note: "one for each reader" },
  fanout: { wide: [3, 1], narrow: [1, 2], name: "Fanout", functions: ["Fanout"] },
  trending: { wide: [4, 1], narrow: [2, 3], name: "Trending", functions: ["Trending"] },
  quarantine: { wide: [1, 2], narrow: [0, 4], name: "Quarantine", kind: "queue" },
  deliver: { wide: [2, 2], narrow: [0, 3], name: "Deliver", functions: ["Deliver"] },
  queue: { wide: [3, 2], narrow: [1, 3], name: "Deliveries", kind: "queue" },
  failed: { wide: [4, 2], narrow: [2, 4], name: "FailedBatches", kind: "queue" },
  audit: { wide: [3, 3], narrow: [1, 4], name: "Audit", functions: ["Audit"], note: "compares tables" },
  recover: { wide: [4, 3], narrow: [2, 5], name: "Recover", functions: ["Recover"] },
};

export const EDGES = [["client", "command"], ["command", "log"], ["log", "publish"], ["publish", "bus"],
  ["bus", "fanout"], ["bus", "trending"], ["fanout", "rows"], ["fanout", "queue"], ["queue", "deliver"],
  ["deliver", "rows"], ["rows", "query"], ["query", "client"], ["deliver", "quarantine"], ["fanout", "failed"],
  ["trending", "failed"], ["failed", "recover"], ["recover", "queue"], ["audit", "queue"]];

/** The boxes that a dot passes when a post reaches a stage. */
export const WAYS = { command: ["client", "command", "log"], stream: ["publish"], bus: ["bus"], fanout: ["fanout"],
  rows: ["rows"], deliver: ["queue", "deliver"], delivered: ["rows"] };

/** The middles of the boxes, and the size of the whole, if it is `"wide"` or `"narrow"`. */
export function places(shape) {
  const middle = ([column, row]) => ({
    x: MARGIN + BOX.width / 2 + column * COLUMN[shape],
    y: MARGIN + BOX.height / 2 + row * ROW,
  });
  const at = Object.fromEntries(Object.entries(BOXES).map(([name, box]) => [name, middle(box[shape])]));
  const reach = (axis) => Math.max(...Object.values(at).map((place) => place[axis]));
  return { at, width: reach("x") + BOX.width / 2 + MARGIN, height: reach("y") + BOX.height / 2 + MARGIN };
}

/** The line from one box to another, from edge to edge, and its angle in degrees. */
export function line(from, to) {
  const [dx, dy] = [Math.sign(to.x - from.x), Math.sign(to.y - from.y)];
  const flat = from.y === to.y;
  const [hx, hy] = [flat ? dx * BOX.width / 2 : 0, flat ? 0 : dy * BOX.height / 2];
  // A slanted line begins and ends near the corners, so that it passes between other boxes.
  const aside = flat || from.x === to.x ? 0 : dx * 50;
  const [x1, y1] = [from.x + hx + aside, from.y + hy];
  const [x2, y2] = [to.x - hx - aside, to.y - hy];
  return { x1, y1, x2, y2, angle: Math.atan2(y2 - y1, x2 - x1) * 180 / Math.PI };
}
