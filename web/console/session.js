// Who is signed in on one side of the page, and what this user has done. Kept for as long as the browser tab is open.

const STORED = ["kind", "user", "token", "version"];

export class Session extends EventTarget {
  /** `side` is "a" or "b": two users can be signed in side by side. */
  constructor(side, config) {
    super();
    Object.assign(this, { side, config, kind: null, user: null, token: null, version: 0, settled: 0, profile: null });
    Object.assign(this, read(`tidings:${side}`) ?? {});
  }

  get signedIn() { return this.token !== null; }

  /** Signs in as any user, on the local stack. */
  async signInAs(user) {
    const token = await developmentToken(this.config.api, user);
    this.#begin({ kind: "development", user, token });
  }

  /** Signs in with a token from elsewhere. */
  signInWith(token, kind = "token") {
    this.#begin({ kind, user: subject(token), token });
  }

  #begin(who) {
    Object.assign(this, { version: 0, settled: 0, profile: null }, who);
    this.#store();
    this.#changed();
  }

  signOut() {
    Object.assign(this, { kind: null, user: null, token: null, version: 0, settled: 0, profile: null });
    sessionStorage.removeItem(`tidings:${this.side}`);
    this.#changed();
  }

  /** The token is not valid any more. */
  expire() {
    this.signOut();
    this.dispatchEvent(new Event("expired"));
  }

  /** The system has forgotten the profile, as if it had been set up anew. */
  lost() {
    this.profile = null;
    this.forgetVersion();
    this.dispatchEvent(new Event("lost"));
  }

  /** Gets a new token without asking, if this is possible. */
  async renew() {
    if (this.kind !== "development") return false;
    try {
      this.token = await developmentToken(this.config.api, this.user);
      this.#store();
      return true;
    } catch {
      return false;
    }
  }

  /** A command has brought this user's log to `version`. */
  reached(version) {
    if (version <= this.version) return;
    this.version = version;
    this.#store();
  }

  /** The read models have all that this user did up to `version`. */
  settle(version) { this.settled = Math.max(this.settled, version); }

  forgetVersion() {
    this.version = this.settled = 0;
    this.#store();
  }

  #store() {
    const stored = Object.fromEntries(STORED.map((name) => [name, this[name]]));
    sessionStorage.setItem(`tidings:${this.side}`, JSON.stringify(stored));
  }

  #changed() { this.dispatchEvent(new Event("change")); }
}

async function developmentToken(api, user) {
  let answer;
  try {
    answer = await fetch(`${api}/dev/token`, { method: "POST", body: JSON.stringify({ user }) });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(document.message ?? `The server does not issue tokens (${answer.status}).`);
  return document.token;
}

/** The `sub` of a JWT. Only to show who is signed in; the server checks the token. */
function subject(token) {
  const part = token.split(".")[1];
  if (!part) throw new Error("This is not a token. A token has three parts with dots between them.");
  try {
    const bytes = Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub ?? "");
  } catch {
    throw new Error("This is not a token: its middle part cannot be read.");
  }
}

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}
