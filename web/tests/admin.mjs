import assert from "node:assert/strict";
import { test } from "node:test";

import { it, sandbox } from "./support/it.mjs";
import { row, until } from "./support/browser.mjs";

test("a member is made, signs in by a link, sees own sandboxes alone, and is deleted", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  await page.getByRole("link", { name: "Administration" }).click();
  await page.getByRole("button", { name: "New user" }).click();
  const dialog = page.getByRole("dialog");
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("grace");
  await dialog.getByRole("button", { name: "Make" }).click();
  const link = (await page.getByRole("dialog", { name: "A link for grace" }).locator("pre").innerText()).trim();
  await page.keyboard.press("Escape");

  const other = await it.browser.page(t, { signedIn: false, failing: true });
  await other.goto(link);
  await other.getByText("No sandbox yet").waitFor();
  assert.equal(await other.getByRole("link", { name: "Administration" }).count(), 0);
  await other.goto(`${it.server.address}/admin`);
  await other.getByText("For administrators").waitFor();
  await other.goto(`${it.server.address}/sandboxes/${(await sandbox()).id}`);
  await other.getByRole("heading", { name: "The sandbox is gone" }).waitFor();
  await other.goto(`${it.server.address}/new`);
  await other.getByLabel("Image").selectOption("coder-dind");
  await other.getByRole("region", { name: "What would be made" }).getByRole("alert").or(other.locator("[aria-invalid=true]")).first().waitFor();

  await page.getByRole("button", { name: "Change grace" }).click();
  await dialog.getByLabel("Sandboxes at most").fill("3");
  await dialog.getByLabel("Disabled: can sign in no more").check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await row(page, "grace").getByText("3 sandboxes").waitFor();
  await other.getByRole("dialog", { name: "You were signed out" }).or(other.getByText("Sandboxes for coding agents")).first().waitFor();
  await page.getByRole("button", { name: "Delete grace" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await until("she is gone", async () => (await page.getByText("grace").count()) === 0);
  assert.ok(await page.getByRole("button", { name: "Delete admin" }).isDisabled());
});

test("the audit, the engine and what is left over are shown", async (t) => {
  const page = await it.browser.page(t);
  await page.goto(`${it.server.address}/admin/audit`);
  await page.getByText("POST /users").first().waitFor();
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.getByRole("button", { name: "Earlier" }).click();
  await page.getByRole("link", { name: "Engine and disk" }).click();
  await page.getByRole("region", { name: "Checks" }).getByText("engine", { exact: true }).waitFor({ timeout: 60_000 });
  await page.getByRole("button", { name: "Check again" }).click();
  await page.getByRole("link", { name: "Volumes" }).click();
  await page.getByLabel("In use too").check();
  await row(page, "amika-home-fix").getByText("in use").waitFor();
});
