import { close, test } from "./support/test.mjs";

import { it } from "./support/it.mjs";
import { row } from "./support/browser.mjs";

test("what Amika runs in a sandbox has a state and a log, is stopped and started, and jobs are read and ended", async (t) => {
  const { server, repository } = it;
  const made = await server.ask("POST", "/sandboxes?wait=90", { name: "runs", repo_url: repository.url, branch: "ticker", size: "xs" });
  const page = await it.browser.page(t);
  await page.goto(`${server.address}/sandboxes/${made.id}`);
  const ticker = row(page, "ticker");
  await ticker.getByText("running").waitFor();
  await ticker.getByRole("button", { name: "Log of ticker" }).click();
  await page.getByRole("log", { name: "Log of ticker" }).getByText("tick").first().waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await ticker.getByRole("button", { name: "Stop ticker" }).click();
  await ticker.getByText("stopped").waitFor();
  await ticker.getByRole("button", { name: "Start ticker" }).click();
  await ticker.getByText("running").waitFor();
  await ticker.getByRole("button", { name: "Restart ticker" }).click();
  await ticker.getByText("running").waitFor();

  await server.ask("POST", `/sandboxes/${made.id}/jobs`, { cmd: ["sh", "-c", "echo at work; exec sleep 1000"] });
  const job = page.getByRole("row").filter({ hasText: "at work" });
  await job.getByText("running").waitFor();
  await job.getByRole("button", { name: /^Log of/ }).click();
  await page.getByRole("log", { name: /^Log of job/ }).getByText("at work").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await job.getByRole("button", { name: /^End/ }).click();
  await job.getByText("ended by signal 15").waitFor();
  await close(page);
  await server.ask("DELETE", `/sandboxes/${made.id}?force=true`);
});
