/** The pictures of the documentation: each page as a person with some sandboxes sees it. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { launch, PHONE, row, signIn, WIDE } from "./support/browser.mjs";
import { serveRepository } from "./support/repository.mjs";
import { startServer } from "./support/server.mjs";

const out = process.argv[2];
mkdirSync(out, { recursive: true });
const server = await startServer();
const repository = await serveRepository(server.directory);
const browser = await launch();

async function open(options) {
  const context = await browser.newContext({ ...options, reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(server.address);
  await signIn(page, server.key);
  return page;
}

try {
  await server.ask("POST", "/secrets", { name: "FORGE_TOKEN", value: "x", description: "reads packages" });
  await server.ask("POST", "/secrets/claude", { name: "work", type: "api_key", value: "x" });
  const made = [
    { name: "fix-tax", repo_url: repository.url, branch: "sale", size: "m" },
    { name: "try-fonts", repo_url: repository.url },
    { name: "broken-build", preset: "coder", setup_script_text: "#!/bin/sh\necho fetching packages\necho 'no space left on device'\nexit 1\n" },
  ];
  for (const body of made) await server.ask("POST", "/sandboxes?wait=90", body);
  await server.ask("POST", "/sandboxes/try-fonts/stop");
  const page = `<h1>Shop</h1>\n<p>Prices include 21 % tax.</p>\n<form action="/order" method="post">\n  <button>Order</button>\n</form>\n`;
  const tests = `from shop import total\n\n\ndef test_tax_is_in_the_total():\n    assert total(100) == 121\n`;
  await server.exec("fix-tax", `printf '%s' '${page}' > index.html; printf '%s' '${tests}' > test_shop.py; sed -i s/EUR/CHF/ .amika/config.toml`);
  await server.exec("fix-tax", "for a in '8000' '-b 127.0.0.1 5173'; do setsid python3 -m http.server $a >/dev/null 2>&1 & done; sleep 1");
  const { id } = await server.ask("GET", "/sandboxes/fix-tax");

  const wide = await open({ viewport: WIDE, colorScheme: "light" });
  await row(wide, "try-fonts").getByText("Stopped").waitFor();
  await row(wide, "fix-tax").getByText(/MiB/).waitFor();
  await wide.screenshot({ path: join(out, "sandboxes.png") });
  await wide.goto(`${server.address}/new?repo=${encodeURIComponent(repository.url)}`);
  await wide.getByText("file of the repository").first().waitFor();
  await wide.screenshot({ path: join(out, "new.png") });

  const dark = await open({ viewport: WIDE, colorScheme: "dark" });
  await dark.goto(`${server.address}/sandboxes/${id}`);
  await row(dark, "5173/tcp").waitFor();
  await dark.screenshot({ path: join(out, "sandbox.png") });
  await dark.goto(`${server.address}/sandboxes/${id}/terminal`);
  await dark.waitForTimeout(2500);
  await dark.keyboard.type("ls; git log --oneline\n");
  await dark.waitForTimeout(1500);
  await dark.screenshot({ path: join(out, "terminal.png") });

  const changes = await open({ viewport: WIDE, colorScheme: "light" });
  await changes.goto(`${server.address}/sandboxes/${id}/changes`);
  for (const name of [".amika/config.toml", "index.html"]) await changes.getByRole("region", { name, exact: true }).getByRole("button").click();
  await changes.getByText("Side by side").click();
  await changes.getByText("Prices include").waitFor();
  await changes.screenshot({ path: join(out, "changes.png") });

  const phone = await open({ viewport: PHONE, colorScheme: "light", deviceScaleFactor: 2 });
  await row(phone, "fix-tax").waitFor();
  await phone.screenshot({ path: join(out, "phone.png") });
  await phone.goto(`${server.address}/sandboxes/${id}/changes`);
  await phone.getByRole("region", { name: "index.html", exact: true }).getByRole("button").click();
  await phone.getByText("Prices include").waitFor();
  await phone.screenshot({ path: join(out, "phone-changes.png") });
} finally {
  await browser.close();
  repository.end();
  await server.end();
}
