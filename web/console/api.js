// The HTTP API of Tidings, and nothing else of the system. openapi.yaml describes it.

import { ApiError } from "./errors.js";

const TIMEOUT_MS = 35_000;
/** How often the page asks whether the server can be reached again. */
const PROBE_MS = 3_000;

export class Api {
  /** `base` is the URL of the API, or "" for the server of this page. */
  constructor(base, session) {
    this.base = base;
    this.session = session;
  }

  get(path, query = {}) { return this.#call("GET", path, { query }); }
  put(path, body) { return this.#call("PUT", path, { body }); }
  patch(path, body) { return this.#call("PATCH", path, { body }); }
  delete(path) { return this.#call("DELETE", path, {}); }
  /** A repeated `key` has no second effect, so a failed request can be sent again. */
  post(path, body, key) { return this.#call("POST", path, { body, key }); }

  /** Asks until there is an answer, whatever it says. */
  #probe() {
    reach(false);
    clearTimeout(probing);
    probing = setTimeout(() => {
      const headers = { Authorization: `Bearer ${this.session.token}` };
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      fetch(`${this.base}/v1/me`, { headers, signal }).then(() => reach(true), () => this.#probe());
    }, PROBE_MS);
  }

  async #call(method, path, request, again = true) {
    const { session } = this;
    const headers = { Authorization: `Bearer ${session.token}` };
    if (request.body) headers["Content-Type"] = "application/json";
    if (request.key) headers["Idempotency-Key"] = request.key;
    // A query sees what this user has just done. That costs more, so it ends once the read models have it.
    if (method === "GET" && session.version > session.settled) headers["Tidings-Min-Version"] = session.version;
    const query = new URLSearchParams(Object.entries(request.query ?? {}).filter(([, value]) => value != null));
    const url = `${this.base}${path}${query.size ? `?${query}` : ""}`;
    const began = performance.now();
    let answer;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      answer = await fetch(url, { method, headers, signal, body: request.body && JSON.stringify(request.body) });
    } catch {
      this.#probe();
      throw new ApiError(0, "offline");
    }
    reach(true);
    const text = await answer.text().catch(() => "");
    const document = text ? parse(text) : null;
    const detail = { method, path, status: answer.status, ms: performance.now() - began, user: session.user };
    detail.cost = answer.headers.get("Tidings-Cost");
    globalThis.dispatchEvent(new CustomEvent("tidings-request", { detail }));
    if (answer.ok) {
      session.reached(Number(answer.headers.get("Tidings-Version") ?? 0));
      if (document?.freshness && !document.freshness.overlaid) session.settle(document.freshness.version);
      return document;
    }
    // The stack was set up anew, and this user's log with it.
    if (document?.code === "version_unknown" && again) {
      session.forgetVersion();
      return this.#call(method, path, request, false);
    }
    if (answer.status === 401 && again && (await session.renew())) return this.#call(method, path, request, false);
    if (answer.status === 401) session.expire();
    if (document?.code === "profile_required") session.lost();
    const retryAfter = Number(answer.headers.get("Retry-After") ?? 0);
    throw new ApiError(answer.status, document?.code ?? null, document?.detail ?? document?.message, retryAfter);
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

let probing;
let reached = true;
/** Tells the page whether the server can be reached, when this changes. */
function reach(now) {
  if (now) clearTimeout(probing);
  if (now === reached) return;
  reached = now;
  globalThis.dispatchEvent(new CustomEvent("tidings-reach", { detail: now }));
}

/** The path of a user: by id, or by handle. */
export const userPath = (user) => `/v1/users/${encodeURIComponent(user)}`;
