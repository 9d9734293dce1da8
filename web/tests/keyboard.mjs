import assert from "node:assert/strict";
import { test } from "./support/test.mjs";

import { it, sandbox } from "./support/it.mjs";
import { until } from "./support/browser.mjs";

/** Tabs until the focus is on what has this name. */
async function tabTo(page, name) {
  for (let at = 0; at < 80; at += 1) {
    await page.keyboard.press("Tab");
    const found = await page.evaluate(() => {
      const element = document.activeElement;
      const labels = element?.labels ? [...element.labels].map((label) => label.textContent) : [];
      return [element?.getAttribute("aria-label"), element?.textContent, ...labels].map((text) => text?.trim());
    });
    if (found.some((text) => text === name || text?.startsWith(`${name} *`))) return;
  }
  throw new Error(`no Tab leads to ${name}`);
}

test("create, terminal, settings and delete go by the keyboard alone", async (t) => {
  await sandbox();
  const page = await it.browser.page(t, { failing: true });
  await page.keyboard.press("c");
  await page.getByRole("heading", { name: "New sandbox" }).waitFor();
  await until("the first field has the focus", () => page.getByRole("combobox", { name: "URL" }).evaluate((field) => field === document.activeElement));
  await tabTo(page, "Name");
  await page.keyboard.type("by-keys");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "by-keys", level: 1 }).waitFor();
  await page.getByText("Running", { exact: true }).waitFor({ timeout: 60_000 });
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press("2");
  const screen = page.getByRole("group", { name: "Terminal 1" });
  await until("there is a prompt", async () => (await screen.locator(".xterm-accessibility").innerText()).includes("%"));
  await page.keyboard.type("echo by-$((1+1))-hands\n");
  await until("it echoes", async () => (await screen.locator(".xterm-accessibility").innerText()).includes("by-2-hands"));
  await page.keyboard.press("Control+Shift+Escape");
  await page.keyboard.press("1");
  await page.getByRole("region", { name: "Timers" }).waitFor();
  await tabTo(page, "Change");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("45");
  await page.keyboard.press("Enter");
  await page.getByText("after 45 min idle").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.getByRole("heading", { name: "Sandboxes" }).waitFor();
  await page.keyboard.press("j");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "by-keys");
  await page.keyboard.press("x");
  await page.getByText(/^1 of \d+ sandboxes/).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "by-keys", level: 1 }).waitFor();
  await tabTo(page, "More for by-keys");
  await page.keyboard.press("Enter");
  await page.getByRole("menuitem", { name: "Delete…" }).waitFor();
  await until("the item has the focus", async () => {
    await page.keyboard.press("ArrowDown");
    return page.evaluate(() => document.activeElement?.textContent === "Delete…");
  });
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Delete by-keys?" }).waitFor();
  await until("no has the focus", () => page.getByRole("button", { name: "Cancel" }).evaluate((button) => button === document.activeElement));
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sandboxes" }).waitFor({ timeout: 60_000 });
});

test("commands find pages, sandboxes and what can be done to them; ? shows the keys", async (t) => {
  await sandbox();
  const page = await it.browser.page(t);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Command or sandbox" }).fill("fix logs");
  await page.getByRole("option", { name: "fix: logs" }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("log", { name: "Log" }).waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Command or sandbox" }).fill("colors dark");
  await page.keyboard.press("Enter");
  await until("it is dark", () => page.evaluate(() => document.documentElement.dataset.mantineColorScheme === "dark"));
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).getByText("Make a sandbox").waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.getByRole("heading", { name: "Repositories" }).waitFor();
  await page.goto(`${it.server.address}/nowhere`);
  await page.getByText("There is no such page").waitFor();
  await page.getByRole("link", { name: "All sandboxes" }).click();
  await page.getByRole("heading", { name: "Sandboxes" }).waitFor();
});

test("the first Tab skips to the content; the menu has keys and colors", async (t) => {
  const page = await it.browser.page(t);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await until("the content has the focus", () => page.evaluate(() => document.activeElement?.id === "main"));
  const navigation = page.getByRole("navigation", { name: "Navigation" });
  await navigation.getByRole("button", { name: "Commands" }).click();
  await page.getByRole("combobox", { name: "Command or sandbox" }).fill("repositories");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Repositories" }).waitFor();
  await navigation.getByRole("link", { name: "Amika" }).click();
  await page.getByRole("heading", { name: "Sandboxes" }).waitFor();
  const menu = page.getByRole("button", { name: "Menu of admin" });
  for (const [scheme, shown] of [["Dark", "dark"], ["Light", "light"], ["As the system", "light"]]) {
    await menu.click();
    await page.getByRole("menuitemradio", { name: scheme }).click();
    await until(`it is ${shown}`, () => page.evaluate((to) => document.documentElement.dataset.mantineColorScheme === to, shown));
  }
  await menu.click();
  assert.equal(await page.getByRole("menuitemradio", { name: "As the system" }).getAttribute("aria-checked"), "true");
  await page.getByRole("menuitem", { name: "Keys" }).click();
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
});
