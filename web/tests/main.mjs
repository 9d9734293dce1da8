/** All tests of the page, in one process: one server, one browser, and the sandbox that the first of them makes. */
import { after, before } from "node:test";

import { Browser, launch } from "./support/browser.mjs";
import { serveRepository } from "./support/repository.mjs";
import { it } from "./support/it.mjs";
import { startServer } from "./support/server.mjs";



before(async () => {
  it.server = await startServer();
  it.repository = await serveRepository(it.server.directory);
  it.chromium = await launch();
  it.browser = new Browser(it.chromium, it.server);
});

after(async () => {
  await it.chromium?.close();
  it.repository?.end();
  await it.server?.end();
});

await import("./sign-in.mjs");
await import("./create.mjs");
await import("./sandbox.mjs");
await import("./list.mjs");
await import("./repositories.mjs");
await import("./account.mjs");
await import("./admin.mjs");
await import("./keyboard.mjs");
await import("./look.mjs");
await import("./failures.mjs");
await import("./end.mjs");
