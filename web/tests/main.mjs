/** All tests of the page, in one process: one server, one browser, and the sandbox that the first of them makes. */
import { after, before } from "node:test";

import { Browser, launch } from "./support/browser.mjs";
import { serveRepository } from "./support/repository.mjs";
import { it } from "./support/it.mjs";
import { startServer } from "./support/server.mjs";
import { close } from "./support/test.mjs";

before(async () => {
  it.server = await startServer();
  it.repository = await serveRepository(it.server.directory);
  it.chromium = await launch();
  it.browser = new Browser(it.chromium, it.server);
});

after(async () => {
  if (it.chromium) await close(it.chromium);
  it.repository?.end();
  await it.server?.end();
});

/** By name: `ONLY=look,failures` runs those files alone. */
const only = process.env.ONLY?.split(",");
for (const file of ["sign-in", "create", "sandbox", "runs", "list", "repositories", "account", "admin", "keyboard", "look", "failures", "end", "controls"]) {
  if (only === undefined || only.includes(file)) await import(`./${file}.mjs`);
}
