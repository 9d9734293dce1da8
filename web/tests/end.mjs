import assert from "node:assert/strict";
import { test } from "node:test";

import { it, sandbox } from "./support/it.mjs";

test("what would be lost is shown before a sandbox is deleted", async (t) => {
  await sandbox();
  const page = await it.browser.page(t, { failing: true });
  // A program begins where the agent works: in the clone.
  const made = await it.server.exec("fix", "set -e; echo new > notes.txt; git checkout -qb mine; git add .; git -c user.name=a -c user.email=a@b commit -qm 'Not pushed'");
  assert.equal(made.exit_code, 0, made.stderr);
  await page.goto(`${it.server.address}/sandboxes/${(await sandbox()).id}`);
  await page.getByRole("button", { name: "More for fix" }).click();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete fix?" });
  await dialog.getByRole("button", { name: "Look, then delete" }).click();
  await dialog.getByRole("button", { name: "Delete, keep the work" }).waitFor({ timeout: 60_000 });
  await dialog.getByRole("alert").getByText(/commit|pushed|work/i).first().waitFor();
  await dialog.getByRole("button", { name: "Delete, keep the work" }).click();
  await page.getByText(/with work kept/).waitFor({ timeout: 60_000 });
  await page.getByText("No sandbox yet").waitFor();
  await page.goto(`${it.server.address}/admin/volumes`);
  await page.getByRole("button", { name: /^Remove amika-.*fix/ }).first().waitFor();
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
