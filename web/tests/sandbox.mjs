import assert from "node:assert/strict";
import { test } from "./support/test.mjs";

import { it, sandbox } from "./support/it.mjs";
import { row, until } from "./support/browser.mjs";

async function open(t, tab = "", options = {}) {
  const page = await it.browser.page(t, options);
  await page.goto(`${it.server.address}/sandboxes/${(await sandbox()).id}${tab}`);
  await page.getByRole("heading", { name: "fix", level: 1 }).waitFor();
  return page;
}

test("services and what else listens are seen at once, and open at origins of their own", async (t) => {
  const page = await open(t);
  await row(page, "shop").getByText("nothing yet").waitFor();
  await it.server.exec("fix", "cd ~/workspace/* 2>/dev/null; for a in '8000' '-b 127.0.0.1 8001'; do setsid python3 -m http.server $a >/dev/null 2>&1 & done; sleep 1");
  await row(page, "shop").getByText("python3").waitFor();
  await row(page, "8001/tcp").getByText("loopback only").waitFor();
  const [shop] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: "Open shop" }).click()]);
  await shop.getByText("Shop").waitFor();
  assert.notEqual(new URL(shop.url()).origin, it.server.address);
  assert.equal(await shop.evaluate(() => window.opener), null);
  const [other] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: "Open port 8001" }).click()]);
  await other.getByText("Shop").waitFor();
  await page.getByRole("button", { name: "Add port 8001 as a service" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("inner");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("button", { name: "Open inner" }).waitFor();
  await page.getByRole("button", { name: "Remove inner" }).click();
  await row(page, "8001/tcp").getByText("not declared").waitFor();
});

test("a service is added by hand, and its address is copied", async (t) => {
  const page = await open(t);
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  const part = page.getByRole("region", { name: "Services and ports" });
  await part.getByRole("button", { name: "Add service" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a service" });
  await dialog.getByLabel("Name").fill("docs");
  await dialog.getByLabel("Port").fill("8002");
  await dialog.getByLabel("Scheme").selectOption("https");
  await dialog.getByRole("button", { name: "Add" }).click();
  await row(page, "docs").getByText("8002/tcp").waitFor();
  await part.getByRole("button", { name: "Remove docs" }).click();
  await row(page, "docs").waitFor({ state: "detached" });
  await part.getByRole("button", { name: "Copy the address of shop" }).click();
  assert.match(await copied(), /^http:\/\/\S+:\d+/);
  await page.getByRole("button", { name: "Copy the id" }).click();
  assert.equal(await copied(), (await sandbox()).id);
  await page.getByRole("link", { name: "Another sandbox of this repository" }).click();
  await page.getByRole("heading", { name: "New sandbox" }).waitFor();
  assert.equal(await page.getByRole("combobox", { name: "URL" }).inputValue(), it.repository.url);
});

test("each part of a sandbox is one click away", async (t) => {
  const page = await open(t);
  const parts = page.getByRole("navigation", { name: "Parts of the sandbox" });
  for (const [tab, seen] of [
    ["Terminal", page.getByRole("group", { name: "Terminal 1" })],
    ["Logs", page.getByRole("log", { name: "Log" })],
    ["Agent", page.getByLabel("Message")],
    ["Changes", page.getByText("Nothing changed")],
    ["Usage", page.getByRole("region", { name: "Memory" })],
    ["Overview", page.getByRole("region", { name: "Details" })],
  ]) {
    await parts.getByRole("link", { name: tab }).click();
    await seen.waitFor();
  }
  for (const [item, seen] of [["Terminal", page.getByRole("group", { name: "Terminal 1" })], ["Logs", page.getByRole("log", { name: "Log" })]]) {
    await page.getByRole("button", { name: "More for fix" }).click();
    await page.getByRole("menuitem", { name: item }).click();
    await seen.waitFor();
  }
});

test("OpenCode opens signed in", async (t) => {
  const page = await open(t);
  const [popup] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: "OpenCode" }).click()]);
  await until("its page is there", async () => /OpenCode/i.test(await popup.title()), 60);
  assert.equal(await popup.evaluate(async () => (await fetch("/")).status), 200);
});

test("a terminal echoes, opens links alone that are asked for, and finds its shell again", async (t) => {
  const page = await open(t, "/terminal", { failing: true });
  const screen = page.getByRole("group", { name: "Terminal 1" });
  const has = (text) => until(`the screen has ${text}`, async () => (await screen.locator(".xterm-accessibility").innerText()).includes(text));
  await has("%");
  await page.keyboard.type("A=kept; echo $((40+2))-here\n");
  await has("42-here");
  await page.keyboard.type("stty size\n");
  await until("the size is the screen's", async () => /\b\d{2,3} \d{2,3}\b/.test(await screen.locator(".xterm-accessibility").innerText()));
  await page.reload();
  await has("42-here");
  await page.keyboard.type("echo $A-again\n");
  await has("kept-again");
  await page.getByRole("button", { name: "New terminal" }).click();
  const second = page.getByRole("group", { name: "Terminal 2" });
  await until("the second has a prompt", async () => (await second.locator(".xterm-accessibility").innerText()).includes("%"));
  await page.keyboard.type("exit\n");
  await page.getByText("The shell ended with exit code 0").waitFor();
  await page.getByRole("button", { name: "New shell" }).click();
  await until("it has a prompt again", async () => (await second.locator(".xterm-accessibility").innerText()).includes("%"));
  await page.getByRole("button", { name: "Terminal 1", exact: true }).click();
  await has("kept-again");
  await page.getByRole("button", { name: "Terminal 2", exact: true }).click();
  await second.waitFor();
  await page.getByRole("button", { name: "Close terminal 2" }).click();
  await screen.waitFor();
});

test("a log is followed and searched, and what it says steers nothing", async (t) => {
  const page = await open(t, "/logs");
  await page.getByText("Setup", { exact: true }).click();
  const log = page.getByRole("log", { name: "Log" });
  await log.getByText("shop is prepared").waitFor();
  await page.getByLabel("Search the log").fill("preparing");
  await until("the others are hidden", async () => (await log.getByText("shop is prepared").count()) === 0);
  assert.equal(await log.locator("mark").innerText(), "preparing");
  await page.getByLabel("Search the log").fill("nothing such");
  await log.getByText("No line has that in it.").waitFor();
  for (const source of ["OpenCode", "Program", "amikad"]) {
    await page.getByRole("radiogroup", { name: "Source" }).getByText(source, { exact: true }).click();
    assert.ok(await page.getByRole("radio", { name: source }).isChecked());
  }
  await page.getByLabel("Search the log").fill("");
  await until("there is a line", async () => (await log.locator(".line").count()) > 0);
  await page.getByLabel("Follow").click({ force: true });
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save" }).click()]);
  assert.equal(download.suggestedFilename(), "fix-amikad.log");
});

test("usage is measured while one looks", async (t) => {
  const page = await open(t, "/usage");
  await page.getByRole("region", { name: "Memory" }).getByText(/MiB of/).or(page.getByText(/of 2\.00 GiB/)).first().waitFor();
  await page.getByText(/processes now/).waitFor();
  assert.equal(await page.locator("canvas").count(), 4);
});

test("what changed is shown file by file, below each other and side by side", async (t) => {
  const page = await open(t, "/changes");
  const git = "git -c user.name=a -c user.email=a@example.com";
  await page.getByText("Nothing changed").waitFor();
  await it.server.exec("fix", `set -e; git tag begun; printf '<h1>Store</h1>\\n\\342\\200\\256txet\\n' > index.html; ${git} commit -qam 'Rename the shop'
    git mv setup.sh 'a*b.sh'; printf 'not the one that is meant\\n' > aXb.sh; printf '\\0\\1' > picture.bin; git add -A`);
  await page.getByRole("button", { name: "Look again" }).click();
  await page.getByText(/^4 files changed, \+3 −1 since [0-9a-f]{10}$/).waitFor();
  const file = (name) => page.getByRole("region", { name, exact: true });
  await file("index.html").getByRole("button").click();
  const lines = file("index.html").getByRole("table", { name: "Changes of index.html" });
  await lines.locator(".line[data-sign='+']").getByText("<h1>Store</h1>").waitFor();
  // What turns text round is seen, and does not.
  await lines.getByText("\\u202etxet").waitFor();
  assert.equal(await lines.locator("tr").nth(1).locator("td").count(), 3);
  await page.getByText("Side by side").click();
  const changed = lines.locator("tr").nth(1);
  assert.deepEqual(await changed.locator(".line").allInnerTexts(), ["<h1>Shop</h1>", "<h1>Store</h1>"]);
  await page.getByText("Unified").click();
  await until("one column", async () => (await lines.locator("tr").nth(1).locator("td").count()) === 3);
  await page.getByText("Side by side").click();
  await file("picture.bin").getByRole("button").click();
  await file("picture.bin").getByText(/^Binary files/).waitFor();
  await file("a*b.sh").getByRole("button").click();
  await file("a*b.sh").getByText("rename from setup.sh").waitFor();
  assert.equal(await file("a*b.sh").getByText("not the one that is meant").count(), 0);
  await page.setViewportSize({ width: 375, height: 720 });
  await until("a phone has one column", async () => (await lines.locator("tr").nth(1).locator("td").count()) === 3);
  await page.setViewportSize({ width: 1280, height: 800 });
  await it.server.exec("fix", "git reset -q --hard begun; git tag -d begun");
  await page.getByRole("button", { name: "Look again" }).click();
  await page.getByText("Nothing changed").waitFor();
});

test("timers are changed, and a sandbox stays awake", async (t) => {
  const page = await open(t, "", { failing: true });
  const timers = page.getByRole("region", { name: "Timers" });
  await timers.getByRole("button", { name: "Change" }).click();
  await timers.getByLabel("Stop after idle minutes").fill("99999");
  await timers.getByRole("button", { name: "Save" }).click();
  await timers.getByText("a number of minutes from 0 to 10080").waitFor();
  await timers.getByLabel("Stop after idle minutes").fill("1h 30m");
  await timers.getByLabel("Delete minutes after the stop").fill("1d");
  await timers.getByRole("button", { name: "Save" }).click();
  await timers.getByText("after 1 h 30 min idle").waitFor();
  await timers.getByText("1 d after it stopped").waitFor();
  await timers.getByRole("button", { name: "Stay awake for 2 h" }).click();
  await until("the server keeps it awake", async () => {
    const at = (await it.server.ask("GET", "/sandboxes/fix")).auto_stop_at;
    return at !== null && Date.parse(at) - Date.now() > 119 * 60_000;
  });
});

test("an agent that is signed out says how it is signed in", async (t) => {
  const page = await open(t, "/agent", { failing: true });
  await page.getByLabel("Session").selectOption("new");
  await page.getByLabel("Agent", { exact: true }).selectOption("claude");
  await page.getByLabel("Message").fill("add with_tax to prices.py");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("alert").waitFor({ timeout: 60_000 });
  assert.equal(await page.getByLabel("Message").inputValue(), "add with_tax to prices.py");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("alert").waitFor({ timeout: 60_000 });
  await page.getByRole("log", { name: "Conversation" }).getByRole("link", { name: "Keys and secrets" }).click();
  await page.getByRole("heading", { name: "API keys" }).waitFor();
  await page.goBack();
  await page.getByLabel("Message").fill("add with_tax to prices.py");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("log", { name: "Conversation" }).getByRole("link", { name: "terminal" }).click({ timeout: 60_000 });
  await page.getByRole("group", { name: "Terminal 1" }).waitFor();
});

test("a sandbox is stopped, renamed, started and restarted, and all of it is listed", async (t) => {
  const page = await open(t, "", { failing: true });
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.getByText("Stopped", { exact: true }).waitFor({ timeout: 60_000 });
  assert.equal(await page.getByRole("alert").count(), 0);
  await page.getByRole("button", { name: "More for fix" }).click();
  await page.getByRole("menuitem", { name: "Rename…" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("No Name");
  await page.getByRole("button", { name: "Rename" }).click();
  await until("the field is marked", async () => (await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).getAttribute("aria-invalid")) === "true");
  await page.getByRole("dialog").getByRole("textbox", { name: /^Name/ }).fill("mended");
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByRole("heading", { name: "mended", level: 1 }).waitFor();
  await it.server.ask("PATCH", `/sandboxes/${(await sandbox()).id}`, { name: "fix" });
  await page.getByRole("heading", { name: "fix", level: 1 }).waitFor();
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await page.getByText("Running", { exact: true }).waitFor({ timeout: 60_000 });
  const began = async () => (await it.server.exec("fix", "stat -c %Y /proc/1")).stdout;
  const before = await began();
  await page.getByRole("button", { name: "More for fix" }).click();
  await page.getByRole("menuitem", { name: "Restart" }).click();
  await until("it began again", async () => (await began().catch(() => before)) !== before, 60);
  await page.getByText("Running", { exact: true }).waitFor({ timeout: 60_000 });
  const events = page.getByRole("region", { name: "Events" });
  const few = await events.getByRole("listitem").count();
  await events.getByRole("button", { name: /^All \d+/ }).click();
  assert.ok((await events.getByRole("listitem").count()) > few);
  await events.getByRole("button", { name: "Fewer" }).click();
  assert.equal(await events.getByRole("listitem").count(), few);
});
