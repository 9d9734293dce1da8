import assert from "node:assert/strict";
import { test } from "node:test";

import { it } from "./support/it.mjs";
import { until } from "./support/browser.mjs";

test("what is wrong is said at the field, in the server's words, before anything is made", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  await page.goto(`${it.server.address}/new`);
  await page.getByLabel("Name", { exact: true }).fill("Not A Name");
  await page.getByText(/lower-case|a-z/).last().waitFor();
  await page.getByLabel("Stop after idle minutes").fill("soon");
  await page.getByText("A number of minutes, or a time such as 2h or 1d").waitFor();
  await page.getByLabel("Stop after idle minutes").fill("20000");
  await page.getByLabel("Name", { exact: true }).fill("");
  await page.getByText("a number of minutes from 0 to 10080").waitFor();
  await page.getByLabel("Stop after idle minutes").fill("30");
  await page.getByLabel("Published ports").fill("99999");
  await page.getByRole("button", { name: "Create sandbox" }).click();
  const field = page.getByLabel("Published ports");
  await until("the field is marked and has the focus", async () => (await field.getAttribute("aria-invalid")) === "true" && (await field.evaluate((it) => it === document.activeElement)));
});

test("a sandbox is made of a repository, and its setup is seen as it runs", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  await page.getByRole("link", { name: "New sandbox" }).click();
  await page.getByRole("combobox", { name: "URL" }).fill(it.repository.url);
  const plan = page.getByRole("region", { name: "What would be made" });
  await plan.getByText("shop").first().waitFor();
  await plan.getByText("file of the repository").first().waitFor();
  await page.getByRole("combobox", { name: "Branch" }).click();
  await page.getByRole("option", { name: "sale" }).click();
  await page.getByLabel("Name", { exact: true }).fill("fix");
  await page.getByLabel("Size", { exact: true }).selectOption("xs");
  await page.getByRole("button", { name: "Add variable" }).click();
  await page.getByLabel("Name of variable 1").fill("GREETING");
  await page.getByLabel("Value of GREETING").fill("hello you");
  const same = page.getByRole("region", { name: "The same without a page" });
  await same.getByText(`--git ${it.repository.url} --branch sale --size xs --env 'GREETING=hello you'`).waitFor();
  await same.getByText("curl", { exact: true }).click();
  await same.getByText(`"repo_url": "${it.repository.url}"`).waitFor();
  await page.getByRole("button", { name: "Create sandbox" }).click();
  await page.getByRole("heading", { name: "fix", level: 1 }).waitFor();
  await page.getByRole("log", { name: "Output of setup" }).getByText("preparing the shop").waitFor({ timeout: 60_000 });
  await page.getByText("Running", { exact: true }).waitFor({ timeout: 60_000 });
  const details = page.getByRole("region", { name: "Details" });
  await details.getByText("sale").waitFor();
  const [made] = await it.server.ask("GET", "/sandboxes");
  assert.equal(made.name, "fix");
  assert.equal(made.branch, "sale");
  it.sandbox = made;
});

test("a setup that failed says what to do, and starts again", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  await page.goto(`${it.server.address}/new`);
  await page.getByLabel("Name", { exact: true }).fill("broken");
  await page.getByLabel("Setup script").selectOption("own");
  await page.getByLabel("Script", { exact: true }).fill("#!/bin/sh\necho '\\033[31mno <b>shop</b>\\033[0m'\nexit 3\n");
  await page.getByRole("button", { name: "Create sandbox" }).click();
  await page.getByRole("alert").getByText("The setup script failed").waitFor({ timeout: 60_000 });
  await page.getByRole("log", { name: "Output of setup" }).getByText("no <b>shop</b>").waitFor();
  await page.getByRole("button", { name: "Start again" }).click();
  await page.getByRole("alert").getByText("exited with code 3").waitFor({ timeout: 60_000 });
  await it.server.ask("DELETE", "/sandboxes/broken?force=true");
  await page.getByRole("heading", { name: "The sandbox is gone" }).waitFor();
});
