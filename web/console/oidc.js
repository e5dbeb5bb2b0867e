// Sign-in with an OpenID Connect provider: the authorization code flow with PKCE (RFC 7636), for public clients.

const KEY = "tidings:oidc";
const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const home = () => location.origin + location.pathname;

async function discover(oidc) {
  const answer = await fetch(`${oidc.issuer.replace(/\/+$/, "")}/.well-known/openid-configuration`);
  if (!answer.ok) throw new Error(`The provider does not describe itself (${answer.status}).`);
  return answer.json();
}

/** Leaves the page for the provider's. */
export async function begin(oidc, side) {
  const provider = await discover(oidc);
  const [state, verifier] = [random(), random()];
  sessionStorage.setItem(KEY, JSON.stringify({ state, verifier, side }));
  const challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  const query = new URLSearchParams({
    response_type: "code",
    client_id: oidc.client_id,
    redirect_uri: home(),
    scope: oidc.scope ?? "openid",
    state,
    code_challenge: challenge,
    code_challenge_method: "S256",
    ...(oidc.audience ? { audience: oidc.audience } : {}),
  });
  location.assign(`${provider.authorization_endpoint}?${query}`);
}

/** If the provider has sent the user back: the side of the page and the token. Otherwise null. */
export async function complete(oidc) {
  const query = new URLSearchParams(location.search);
  if (!oidc || !query.has("state")) return null;
  history.replaceState(null, "", home());
  const begun = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  sessionStorage.removeItem(KEY);
  if (query.get("state") !== begun?.state) throw new Error("This sign-in was not begun here. Sign in again.");
  if (query.has("error")) throw new Error(query.get("error_description") ?? query.get("error"));
  const { token_endpoint: endpoint } = await discover(oidc);
  const body = new URLSearchParams({
    grant_type: "authorization_code",
    client_id: oidc.client_id,
    redirect_uri: home(),
    code: query.get("code"),
    code_verifier: begun.verifier,
  });
  const answer = await fetch(endpoint, { method: "POST", body });
  const tokens = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(tokens.error_description ?? `The provider refuses the sign-in (${answer.status}).`);
  const token = tokens[oidc.token ?? "access_token"];
  if (!token) throw new Error(`The provider sent no ${oidc.token ?? "access_token"}.`);
  return { side: begun.side, token };
}
