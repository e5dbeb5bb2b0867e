// The way of each post through the system, put together from what the stack tells. An event has the same id, such as
// "ada/7", in the command's answer, in the stream of the table, and on the bus.

/** Older paths are forgotten. */
const PATHS_MAX = 200;
/** How many lags the percentiles are of. */
const LAGS_MAX = 300;

export class Paths {
  #paths = new Map();
  #events = new Map();
  #invocations = new Map();
  #lags = [];

  /** `moved(path, stage)` is called when a post reaches a stage. */
  constructor(moved) {
    this.moved = moved;
  }

  /** The newest paths first. Before them all stays the newest of those for which `own(path)` is true. */
  newest(count, own = () => false) {
    const known = [...this.#paths.values()].filter(({ began }) => began).reverse();
    const ours = known.find(own);
    return (ours ? [ours, ...known.filter((path) => path !== ours)] : known).slice(0, count);
  }

  /** The times from decisions to finished fan-outs, in milliseconds, of events that ended after `since`. */
  lags(since = 0) {
    return this.#lags.filter((lag) => lag.at >= since).map((lag) => lag.ms);
  }

  request({ at, ms, user, status, version, location, route }) {
    if (route !== "POST /v1/posts" || status !== 201) return;
    const path = this.#path(location.split("/").at(-1));
    if (path.command) return;
    Object.assign(path, { user, id: `${user}/${version}`, began: at, command: at + ms });
    this.moved(path, "command");
  }

  started({ invocation, at, function: name, records }) {
    const concerned = records.filter(({ type, id, decided_at }) => {
      if (decided_at) remember(this.#events, id, { decidedAt: decided_at }, PATHS_MAX * 4);
      return /post\.?created|^(deliver|spread)$/i.test(type);
    });
    const stage = STAGES[name];
    if (!stage) return;
    const ids = records.map(({ id }) => id);
    remember(this.#invocations, invocation, { stage, ids, posts: concerned }, PATHS_MAX);
    for (const record of concerned) {
      if (!record.post) continue;
      const path = this.#path(record.post);
      if (record.id.includes("/")) path.id ??= record.id;
      path.user ??= record.id.includes("/") ? record.id.slice(0, record.id.lastIndexOf("/")) : null;
      if (record.decided_at) path.began ??= record.decided_at;
      path[stage.begins] ??= at;
      this.moved(path, stage.begins);
    }
  }

  ended({ invocation, at, outcome }) {
    const known = this.#invocations.get(invocation);
    this.#invocations.delete(invocation);
    if (!known || outcome !== "done") return;
    if (known.stage === STAGES.Fanout) {
      for (const id of known.ids) {
        const event = this.#events.get(id);
        if (!event || event.done) continue;
        event.done = true;
        this.#lags.push({ at, ms: at - event.decidedAt });
        if (this.#lags.length > LAGS_MAX) this.#lags.shift();
      }
    }
    for (const { post } of known.posts) {
      const path = this.#paths.get(post);
      if (!path) continue;
      path[known.stage.ends] ??= at;
      this.moved(path, known.stage.ends);
    }
  }

  /** Counts the homes that have got a row of the post. */
  written({ at, function: name, items }) {
    for (const { table, pk, sk, deleted } of items) {
      if (deleted || !table.endsWith("-Timelines") || !pk.startsWith("HOME#")) continue;
      const path = this.#paths.get(sk);
      if (!path) continue;
      (path.homes ??= new Set()).add(pk);
      if (name === "Deliver" && !path.rows) this.#recovered(path, at);
    }
  }

  /** Deliver writes the rows of a post that Fanout has not finished: Recover or Audit has asked for it. */
  #recovered(path, at) {
    if (!path.recovered) {
      this.moved(path, "deliver");
      this.moved(path, "delivered");
    }
    path.recovered = at;
  }

  #path(post) {
    return this.#paths.get(post) ?? remember(this.#paths, post, { post }, PATHS_MAX);
  }
}

/** What the beginning and the end of an invocation mean for a post. */
const STAGES = {
  PublishEvents: { begins: "stream", ends: "bus" },
  Fanout: { begins: "fanout", ends: "rows" },
  Deliver: { begins: "deliver", ends: "delivered" },
};

function remember(map, key, value, max) {
  map.set(key, value);
  if (map.size > max) map.delete(map.keys().next().value);
  return value;
}

/** The value that `share` of the numbers do not exceed. Null if there are none. */
export function percentile(numbers, share) {
  if (numbers.length === 0) return null;
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}
