import assert from "node:assert/strict";
import { test } from "./support/test.mjs";

import { it, sandbox } from "./support/it.mjs";
import { row, until } from "./support/browser.mjs";

test("a member is made, signs in by a link, sees own sandboxes alone, and is deleted", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  await page.getByRole("link", { name: "Administration" }).click();
  await page.getByRole("button", { name: "New user" }).click();
  const dialog = page.getByRole("dialog");
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("grace");
  await dialog.getByLabel("Email").fill("grace@example.com");
  await dialog.getByLabel("Role").selectOption("member");
  await dialog.getByRole("button", { name: "Make" }).click();
  const link = (await page.getByRole("dialog", { name: "A link for grace" }).locator("pre").innerText()).trim();
  await dialog.getByRole("button", { name: "Copy the link" }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), link);
  await page.keyboard.press("Escape");

  const other = await it.browser.page(t, { signedIn: false, failing: true });
  await other.goto(link);
  await other.getByText("No sandbox yet").waitFor();
  assert.equal(await other.getByRole("link", { name: "Administration" }).count(), 0);
  await other.goto(`${it.server.address}/admin`);
  await other.getByText("For administrators").waitFor();
  await other.getByRole("link", { name: "your sandboxes" }).click();
  await other.getByText("No sandbox yet").waitFor();
  await other.goto(`${it.server.address}/sandboxes/${(await sandbox()).id}`);
  await other.getByRole("heading", { name: "The sandbox is gone" }).waitFor();
  await other.goto(`${it.server.address}/new`);
  await other.getByLabel("Image").selectOption("coder-dind");
  await other.getByRole("region", { name: "What would be made" }).getByRole("alert").or(other.locator("[aria-invalid=true]")).first().waitFor();

  await page.getByRole("button", { name: "Change grace" }).click();
  await dialog.getByRole("textbox", { name: /^Name/ }).fill("grace");
  await dialog.getByLabel("Email").fill("");
  await dialog.getByLabel("Role").selectOption("member");
  await dialog.getByLabel("CPUs at most").fill("2");
  await dialog.getByLabel("Memory at most, GiB").fill("4");
  await dialog.getByLabel("Sandboxes at most").fill("3");
  await dialog.getByLabel("Disabled: can sign in no more").check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await row(page, "grace").getByText("3 sandboxes, 2 CPUs, 4.00 GiB").waitFor();
  await other.getByRole("dialog", { name: "You were signed out" }).or(other.getByText("Sandboxes for coding agents")).first().waitFor();
  await page.getByRole("button", { name: "Delete grace" }).click();
  await dialog.getByLabel("Sandboxes go to").selectOption({ label: "admin" });
  await dialog.getByRole("button", { name: "Delete" }).click();
  await until("she is gone", async () => (await page.getByText("grace").count()) === 0);
  assert.ok(await page.getByRole("button", { name: "Delete admin" }).isDisabled());
});

test("the audit, the engine and what is left over are shown", async (t) => {
  const page = await it.browser.page(t);
  await page.goto(`${it.server.address}/admin/volumes`);
  const parts = page.getByRole("navigation", { name: "Parts of the administration" });
  await parts.getByRole("link", { name: "Users" }).click();
  await page.getByRole("button", { name: "New user" }).waitFor();
  await parts.getByRole("link", { name: "Audit" }).click();
  await page.getByText("POST /users").first().waitFor();
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.getByRole("button", { name: "Earlier" }).click();
  await page.getByRole("link", { name: "Engine and disk" }).click();
  await page.getByRole("region", { name: "Checks" }).getByText("engine", { exact: true }).waitFor({ timeout: 60_000 });
  await page.getByRole("button", { name: "Check again" }).click();
  const [routes] = await Promise.all([page.waitForEvent("popup"), page.getByRole("link", { name: "Every route" }).click()]);
  await routes.getByText("/sandboxes").first().waitFor();
  await routes.close();
  await page.getByRole("link", { name: "Volumes" }).click();
  await page.getByLabel("In use too").check();
  await row(page, "amika-home-fix").getByText("in use").waitFor();
});
