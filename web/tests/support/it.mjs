/** What all tests share: server, browser, repository, and the sandbox that the first of them makes. */
export const it = {};

/** The sandbox; made by the API where the test that makes it by the page did not come so far. */
export async function sandbox() {
  it.sandbox ??= await it.server.ask("POST", "/sandboxes?wait=90", { name: "fix", repo_url: it.repository.url, branch: "sale", size: "xs" });
  return it.sandbox;
}
