// What deployment this page is for: `config.json`, next to the page. docs/console.md explains its members.

const DEFAULTS = { api: "", development: false, oidc: null };

export async function load() {
  const answer = await fetch("config.json", { cache: "no-cache" });
  if (!answer.ok) throw new Error(`config.json: ${answer.status}`);
  const config = { ...DEFAULTS, ...(await answer.json()) };
  config.api = config.api.replace(/\/+$/, "");
  return config;
}
