import { test } from "./support/test.mjs";

import { it, sandbox } from "./support/it.mjs";

test("a sandbox is deleted once it was looked for work, and its clone is kept until it is removed", async (t) => {
  await sandbox();
  const page = await it.browser.page(t, { failing: true });
  await page.goto(`${it.server.address}/sandboxes/${(await sandbox()).id}`);
  await page.getByRole("button", { name: "More for fix" }).click();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  await page.getByRole("dialog", { name: "Delete fix?" }).getByRole("button", { name: "Look, then delete" }).click();
  await page.getByText("No sandbox yet").waitFor({ timeout: 90_000 });
  await page.goto(`${it.server.address}/admin/volumes`);
  await page.getByRole("button", { name: "Prune…" }).click();
  await page.getByRole("dialog", { name: "Prune volumes?" }).getByRole("button", { name: "Prune" }).click();
  await page.getByText(/\d+ volumes? removed, \d+ volumes? with work kept/).waitFor();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  // What is left has work in it.
  for (;;) {
    const remove = page.getByRole("button", { name: /^Remove amika-.*fix/ });
    const count = await remove.count();
    if (count === 0) break;
    await remove.first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.waitForFunction((before) => document.querySelectorAll("button[aria-label^='Remove amika-']").length < before, count).catch(() => undefined);
  }
});
