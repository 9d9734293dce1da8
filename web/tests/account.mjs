import assert from "node:assert/strict";
import { test } from "./support/test.mjs";

import { it } from "./support/it.mjs";
import { row } from "./support/browser.mjs";

async function open(t, options) {
  const page = await it.browser.page(t, options);
  await page.getByRole("link", { name: "Keys and secrets" }).click();
  await page.getByRole("heading", { name: "API keys" }).waitFor();
  return page;
}

test("a key is seen once, works, shows when it was used, and is revoked", async (t) => {
  const page = await open(t);
  await page.getByRole("button", { name: "New key" }).click();
  const form = page.getByRole("dialog", { name: "New key" });
  await form.getByLabel("Name").fill("laptop");
  await form.getByLabel("It may").selectOption("read");
  await form.getByRole("button", { name: "Make" }).click();
  const dialog = page.getByRole("dialog", { name: "The key, shown this once" });
  await dialog.getByRole("button", { name: "Copy the key" }).click();
  const key = (await dialog.locator("pre").innerText()).trim();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
  await dialog.getByRole("button", { name: "Close" }).click();
  assert.equal((await it.server.ask("GET", "/me", undefined, key)).name, "admin");
  assert.equal(await page.getByText(key).count(), 0);
  await page.reload();
  await row(page, "laptop").getByText("now").first().waitFor();
  await page.getByRole("button", { name: "Revoke laptop" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row(page, "laptop").waitFor({ state: "detached" });
  await assert.rejects(it.server.ask("GET", "/me", undefined, key), /401/);
  // The server's first key, by which the tests ask, stays.
  await page.getByRole("button", { name: "Revoke first key" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

test("a secret is written, revealed with a note in the audit, changed and deleted", async (t) => {
  const page = await open(t, { failing: true });
  const dialog = page.getByRole("dialog");
  await page.getByRole("button", { name: "New secret" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("no spaces");
  await dialog.getByLabel("Value").first().fill("hush");
  await dialog.getByRole("button", { name: "Show what was typed" }).click();
  await dialog.getByLabel("Description").fill("first");
  await dialog.getByLabel("Whose").selectOption("org");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.locator("[aria-invalid=true]").first().waitFor();
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("TOKEN");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Reveal TOKEN" }).click();
  await dialog.getByText("the audit notes that you looked at it").waitFor();
  await dialog.getByRole("button", { name: "Reveal" }).click();
  await dialog.getByText("hush").waitFor();
  await dialog.getByRole("button", { name: "Copy the value" }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "hush");
  await page.keyboard.press("Escape");
  const { items } = await it.server.ask("GET", "/audit?limit=5");
  assert.ok(items.some((one) => one.action.endsWith("/reveal")));
  await page.getByRole("button", { name: "Change TOKEN" }).click();
  await dialog.getByRole("textbox", { name: /^Name/ }).fill("TOKEN");
  await dialog.getByLabel("Value").first().fill("louder");
  await dialog.getByRole("button", { name: "Show what was typed" }).click();
  await dialog.getByLabel("Description").fill("of the forge");
  await dialog.getByRole("button", { name: "Save" }).click();
  await row(page, "TOKEN").getByText("of the forge").waitFor();
  await page.getByRole("button", { name: "Delete TOKEN" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await page.getByText("No secret", { exact: true }).waitFor();
});

test("credentials of agents, hosts of git and the author of commits are kept", async (t) => {
  const page = await open(t, { failing: true });
  const dialog = page.getByRole("dialog");
  await page.getByRole("button", { name: "Add credentials" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("work");
  await dialog.getByLabel("Agent").selectOption("codex");
  await dialog.getByLabel("Agent").selectOption("claude");
  await dialog.getByLabel("Whose").selectOption("user");
  await dialog.getByLabel("Kind").selectOption("api_key");
  await dialog.getByLabel("Value").fill("sk-ant-test");
  await dialog.getByRole("button", { name: "Add" }).click();
  await row(page, "work").getByText("Claude Code").waitFor();
  await page.getByRole("button", { name: "Reveal credentials work" }).click();
  await dialog.getByRole("button", { name: "Reveal" }).click();
  await dialog.getByText("sk-ant-test").waitFor();
  await page.keyboard.press("Escape");
  await page.goto(`${it.server.address}/new`);
  await page.getByLabel("Claude Code: work (API key)").check();
  await page.getByText("--credentials claude").waitFor();
  await page.goBack();
  await page.getByRole("button", { name: "Delete credentials work" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await page.getByText("No agent is signed in").waitFor();
  await page.getByRole("button", { name: "Add host" }).click();
  await dialog.getByLabel("Host").fill("forge.example");
  await dialog.getByLabel("Whose").selectOption("org");
  await dialog.getByLabel("By").selectOption("ssh_key");
  await dialog.getByLabel("Private key").fill("no key");
  await dialog.getByLabel("Known hosts").fill("no line");
  await dialog.getByRole("button", { name: "Add" }).click();
  await dialog.locator("[aria-invalid=true]").first().waitFor();
  await dialog.getByLabel("By").selectOption("token");
  await dialog.getByLabel("Token").fill("t0ken");
  await dialog.getByRole("button", { name: "Add" }).click();
  await page.getByRole("button", { name: "Delete the sign-in of forge.example" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await page.getByText("Public repositories alone").waitFor();
  const author = page.getByRole("region", { name: "Author of commits" });
  await author.getByLabel("Name").fill("Ada");
  await author.getByLabel("Email").fill("ada@example.com");
  await author.getByRole("button", { name: "Save author" }).click();
  await page.getByText("New clones commit as that").waitFor();
  assert.deepEqual(await it.server.ask("GET", "/git-user-settings"), { name: "Ada", email: "ada@example.com" });
});
