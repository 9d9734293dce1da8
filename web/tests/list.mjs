import { test } from "node:test";

import { it, sandbox } from "./support/it.mjs";
import { row, until } from "./support/browser.mjs";

test("the list is live, filtered, searched and sorted, and several are changed at once", async (t) => {
  await sandbox();
  const page = await it.browser.page(t);
  await row(page, "fix").getByText("Running").waitFor();
  // Made elsewhere, seen here.
  for (const name of ["list-b", "list-a"]) await it.server.ask("POST", "/sandboxes", { name, preset: "coder" });
  for (const name of ["list-a", "list-b"]) await row(page, name).getByText("Running").waitFor({ timeout: 90_000 });
  const names = async () => (await page.locator("a.name").allInnerTexts()).join();
  await page.getByLabel("Search sandboxes").fill("list-");
  await page.getByLabel("Order").selectOption("name");
  await until("they are in order", async () => (await names()) === "list-a,list-b");
  await page.getByLabel("Search sandboxes").fill("shop sale");
  await until("one is left", async () => (await names()) === "fix");
  await page.getByLabel("Search sandboxes").fill("nothing such");
  await page.getByRole("button", { name: "Show all" }).click();
  await row(page, "fix").getByText(/MiB/).waitFor();
  await page.getByLabel("Search sandboxes").fill("list-");
  await page.getByLabel("State", { exact: true }).selectOption("off");
  await page.getByText("No sandbox fits the filter").waitFor();
  await page.getByLabel("State", { exact: true }).selectOption("all");
  await page.getByLabel("Select list-a").check();
  await page.getByText("1 of 2 sandboxes").waitFor();
  await page.getByLabel("1 of 2 sandboxes").check();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  for (const name of ["list-a", "list-b"]) await row(page, name).getByText("Stopped").waitFor({ timeout: 90_000 });
  await page.getByRole("button", { name: "Start list-a" }).click();
  await row(page, "list-a").getByText("Running").waitFor({ timeout: 90_000 });
  await page.getByLabel("Select list-a").check();
  await page.getByLabel("Select list-b").check();
  await page.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("No sandbox fits the filter").waitFor({ timeout: 90_000 });
});
