import { test } from "./support/test.mjs";

import { it, sandbox } from "./support/it.mjs";
import { row, until } from "./support/browser.mjs";

test("a server that is gone is known at once, and what is seen heals by itself", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  const terminal = await it.browser.page(t, { failing: true });
  await terminal.goto(`${it.server.address}/sandboxes/${(await sandbox()).id}/terminal`);
  const screen = terminal.getByRole("group", { name: "Terminal 1" });
  const has = (text) => until(`the screen has ${text}`, async () => (await screen.locator(".xterm-accessibility").innerText()).includes(text));
  await has("%");
  await terminal.keyboard.type("B=stays\n");
  await it.server.stop();
  await page.getByText("The connection to the server is lost.").waitFor();
  await terminal.getByText("The shell goes on in the sandbox").waitFor();
  await page.getByRole("button", { name: "Stop fix" }).click();
  await page.getByText("The server does not answer").waitFor();
  await page.getByRole("navigation", { name: "Navigation" }).getByRole("link", { name: "Repositories" }).click();
  // A page that was not loaded before takes nothing away that is on the screen.
  await page.getByRole("heading", { name: "This page does not work" }).waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("main").getByText("The server does not answer").waitFor();
  await it.server.start();
  await page.getByText("The connection to the server is lost.").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "Repositories" }).waitFor();
  await page.getByRole("navigation", { name: "Navigation" }).getByRole("link", { name: "Sandboxes" }).click();
  await row(page, "fix").getByText("Running").waitFor();
  await until("the shell is there again", async () => (await terminal.getByText("The shell goes on in the sandbox").count()) === 0);
  await screen.click();
  await terminal.keyboard.type("echo $B-here\n");
  await has("stays-here");
});

test("an engine that is gone is said, and nothing pretends to work", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  await it.server.engine.close();
  try {
    await page.getByText("The container engine does not answer.").waitFor();
    await page.goto(`${it.server.address}/admin/system`);
    await page.getByText("It does not answer.").waitFor();
  } finally {
    await it.server.engine.open();
  }
  await page.getByText("The container engine does not answer.").waitFor({ state: "detached" });
  await page.goto(it.server.address);
  await row(page, "fix").getByText("Running").waitFor();
});

test("a hostile sandbox is text, and reaches nothing", async (t) => {
  const page = await it.browser.page(t, { failing: true });
  const script = `printf '<img src=x onerror=alert(1)>\\033]0;owned\\007\\033[2J\\342\\200\\256txet\\n'; head -c 10000000 /dev/zero | tr '\\0' A; echo; echo after`;
  await it.server.ask("POST", "/sandboxes?wait=60", { name: "hostile", preset: "coder", setup_script_text: `#!/bin/sh\n${script}\n`, metadata: { "<b>key</b>": "<script>alert(1)</script>\u202e" } });
  const { id } = await it.server.ask("GET", "/sandboxes/hostile");
  await page.goto(`${it.server.address}/sandboxes/${id}`);
  await page.getByText("<b>key</b>").waitFor();
  await page.getByRole("link", { name: "Logs" }).click();
  await page.getByText("Setup", { exact: true }).click();
  const log = page.getByRole("log", { name: "Log" });
  await log.getByText("after").waitFor({ timeout: 30_000 });
  await log.getByText("more characters").first().waitFor();
  await until("it is no picture", async () => (await page.locator("img[src=x]").count()) === 0);
  // A page of the sandbox's that would frame, read and change this one.
  const evil = `<script>try{opener.location='about:blank'}catch{}; fetch('${it.server.address}/api/v0beta1/me',{credentials:'include'}).then(()=>document.title='read',()=>document.title='refused')</script><iframe src="${it.server.address}/"></iframe>`;
  await it.server.exec("hostile", `mkdir -p /tmp/e; cat > /tmp/e/index.html <<'X'\n${evil}\nX\ncd /tmp/e; setsid python3 -m http.server 8000 >/dev/null 2>&1 & sleep 1`);
  await page.goto(`${it.server.address}/sandboxes/${id}`);
  const [popup] = await Promise.all([page.waitForEvent("popup"), page.getByRole("button", { name: "Open port 8000" }).click()]);
  await until("it was refused", async () => (await popup.title()) === "refused");
  await page.getByRole("heading", { name: "hostile", level: 1 }).waitFor();
  await it.server.ask("DELETE", "/sandboxes/hostile?force=true");
});
