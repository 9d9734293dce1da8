/** How pages look to eyes, to assistive technology and to the network. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "./support/test.mjs";

import { it, sandbox } from "./support/it.mjs";
import { PHONE, watched, WIDE } from "./support/browser.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function pages() {
  const one = `/sandboxes/${(await sandbox()).id}`;
  return ["/", "/new", one, `${one}/terminal`, `${one}/logs`, `${one}/agent`, `${one}/changes`, `${one}/usage`, "/repositories", "/account", "/admin", "/admin/audit", "/admin/system", "/admin/volumes"];
}

for (const [viewport, colorScheme] of [[WIDE, "light"], [PHONE, "dark"], [WIDE, "dark"], [PHONE, "light"]]) {
  const how = `${colorScheme}, ${viewport.width} wide`;
  test(`no page breaks a rule of accessibility or scrolls sideways: ${how}`, async (t) => {
    const page = await it.browser.page(t, { viewport, colorScheme, reducedMotion: "reduce" });
    const settled = watched(page);
    // By the debugger's way: the page's own policy lets no other script run.
    const session = await page.context().newCDPSession(page);
    for (const path of await pages()) {
      await page.evaluate((to) => { history.pushState(null, "", to); dispatchEvent(new PopStateEvent("popstate")); }, path);
      await page.locator("h1").first().waitFor();
      await settled();
      await session.send("Runtime.evaluate", { expression: axe });
      const violations = await page.evaluate(async () => (await window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
        // Notices and menus are beside the page's parts.
        rules: { region: { enabled: false } },
      })).violations.map((it) => `${it.id}: ${it.nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`));
      assert.deepEqual(violations, [], `${path}, ${how}`);
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(sideways <= 0, `${path}, ${how}: ${sideways} pixels too wide`);
    }
  });
}

test("on a phone, navigation and commands are a touch away", async (t) => {
  const page = await it.browser.page(t, { viewport: PHONE });
  const navigation = page.getByRole("navigation", { name: "Navigation" });
  await page.getByRole("button", { name: "Navigation" }).click();
  await navigation.getByRole("link", { name: "Repositories" }).click();
  await page.getByRole("heading", { name: "Repositories" }).waitFor();
  await navigation.waitFor({ state: "hidden" });
  await page.getByRole("button", { name: "Commands" }).click();
  await page.getByRole("combobox", { name: "Command or sandbox" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("banner").getByRole("link", { name: "Amika" }).click();
  await page.getByRole("heading", { name: "Sandboxes" }).waitFor();
});

test("the first page is small, and comes from this server alone", async (t) => {
  const page = await it.browser.page(t, { signedIn: false });
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  let bytes = 0;
  session.on("Network.loadingFinished", (event) => { bytes += event.encodedDataLength; });
  const others = new Set();
  page.on("request", (request) => { if (!request.url().startsWith(it.server.address)) others.add(request.url()); });
  const settled = watched(page);
  await page.reload();
  await page.getByLabel("API key or sign-in link").waitFor();
  await settled();
  assert.ok(bytes > 50_000 && bytes <= 250 * 1024, `${bytes} bytes`);
  assert.deepEqual([...others], []);
});
