import assert from "node:assert/strict";
import { test } from "./support/test.mjs";

import { it } from "./support/it.mjs";
import { signIn, until } from "./support/browser.mjs";

test("a link signs in once, and leaves nothing in the address", async (t) => {
  const page = await it.browser.page(t, { signedIn: false, failing: true });
  await page.goto(it.server.link);
  await page.getByRole("heading", { name: "Sandboxes" }).waitFor();
  assert.equal(new URL(page.url()).hash, "");
  await page.getByText("No sandbox yet").waitFor();
  await page.getByRole("link", { name: "Make the first one" }).click();
  await page.getByRole("heading", { name: "New sandbox" }).waitFor();
  await page.goBack();
  await page.getByRole("button", { name: "Copy the commands" }).click();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /amika sandbox create --remote --git/);
  await page.getByRole("button", { name: /^Menu of/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByLabel("API key or sign-in link").waitFor();
  await page.goto("about:blank");
  await page.goto(it.server.link);
  await page.getByRole("alert").getByText("The link or key does not hold").first().waitFor();
});

test("a key signs in, and a wrong one is refused with the server's words", async (t) => {
  const page = await it.browser.page(t, { signedIn: false, failing: true });
  await page.getByLabel("API key or sign-in link").fill("amk_nobody");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("The link or key does not hold").waitFor();
  await page.getByRole("button", { name: "Show what was typed" }).click();
  await signIn(page, it.server.key);
  assert.equal(await page.title(), "Sandboxes · Amika");
});

test("a session that is over says so, and what was typed is still there", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  await page.getByRole("link", { name: "New sandbox" }).click();
  await page.getByLabel("First prompt").fill("a long text");
  await page.context().clearCookies();
  // Whatever is asked of the server next is refused: here, what would be made.
  await page.getByLabel("Name", { exact: true }).fill("later");
  const dialog = page.getByRole("dialog", { name: "You were signed out" });
  await dialog.getByLabel("API key or sign-in link").fill(it.server.key);
  await dialog.getByRole("button", { name: "Show what was typed" }).click();
  assert.equal(await dialog.getByLabel("API key or sign-in link").getAttribute("type"), "text");
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.getByLabel("First prompt").inputValue(), "a long text");
});

test("a part that does not come is asked for again, and what never comes is said", async (t) => {
  const page = await it.browser.page(t, { signedIn: false, failing: true });
  for (const part of ["css", "js"]) {
    await page.route(`**/assets/*.${part}`, (route) => route.abort(), { times: 1 });
    await page.goto("about:blank");
    await page.goto(it.server.address);
    await page.getByLabel("API key or sign-in link").waitFor();
    await until("it has its styles", () => page.evaluate(() => getComputedStyle(document.querySelector(".card")).borderRadius === "8px"));
  }
  await page.route("**/assets/*.js", (route) => route.abort());
  await page.goto("about:blank");
  await page.goto(it.server.address);
  const again = page.getByRole("button", { name: "Try again" });
  await again.waitFor();
  await page.unrouteAll();
  await again.click();
  await page.getByLabel("API key or sign-in link").waitFor();
});
