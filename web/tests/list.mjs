import assert from "node:assert/strict";
import { test } from "node:test";

import { it, sandbox } from "./support/it.mjs";
import { row, until } from "./support/browser.mjs";

test("the list is live, filtered, searched and sorted, and several are changed at once", async (t) => {
  await sandbox();
  const page = await it.browser.page(t);
  await row(page, "fix").getByText("Running").waitFor();
  // Made elsewhere, seen here.
  for (const name of ["alpha", "beta"]) await it.server.ask("POST", "/sandboxes", { name, preset: "coder" });
  await row(page, "beta").getByText("Running").waitFor({ timeout: 60_000 });
  await row(page, "alpha").getByText("Running").waitFor({ timeout: 60_000 });
  const names = () => page.locator("a.name").allInnerTexts();
  await page.getByLabel("Order").selectOption("name");
  assert.deepEqual(await names(), ["alpha", "beta", "fix"]);
  await page.getByLabel("Search sandboxes").fill("shop sale");
  await until("one is left", async () => (await names()).join() === "fix");
  await page.getByLabel("Search sandboxes").fill("nothing such");
  await page.getByRole("button", { name: "Show all" }).click();
  await page.getByLabel("State", { exact: true }).selectOption("off");
  await page.getByText("No sandbox fits the filter").waitFor();
  await page.getByLabel("State", { exact: true }).selectOption("all");
  await until("all are there", async () => (await names()).length === 3);
  await row(page, "fix").getByText(/MiB/).waitFor();
  await page.getByLabel("Select alpha").check();
  await page.getByLabel("Select beta").check();
  await page.getByText("2 of 3 sandboxes").waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await row(page, "alpha").getByText("Stopped").waitFor({ timeout: 60_000 });
  await row(page, "beta").getByText("Stopped").waitFor({ timeout: 60_000 });
  await page.getByRole("button", { name: "Start alpha" }).click();
  await row(page, "alpha").getByText("Running").waitFor({ timeout: 60_000 });
  await page.getByLabel("Select alpha").check();
  await page.getByLabel("Select beta").check();
  await page.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await until("both are gone", async () => (await names()).join() === "fix", 60);
});
