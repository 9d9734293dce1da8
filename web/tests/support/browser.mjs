/** Pages that fail a test by whatever goes wrong in them: errors on the console, violations of the policy, unhandled rejections. */
import assert from "node:assert/strict";

import { chromium } from "playwright-core";

export const WIDE = { width: 1280, height: 800 };
export const PHONE = { width: 375, height: 720 };

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium" });
}

/** What a browser itself says of an answer that a test is about. */
const ANSWERS = /Failed to load resource: (the server responded with a status of (4\d\d|50[0-9])|net::ERR)|WebSocket connection to .* failed/;

export class Browser {
  constructor(browser, server) {
    this.browser = browser;
    this.server = server;
  }

  /** A page with a browser's profile of its own. `failing`: a test that has the server refuse or be gone. */
  async page(t, { viewport = WIDE, colorScheme = "light", failing = false, signedIn = true, key = this.server.key, reducedMotion = "no-preference" } = {}) {
    const context = await this.browser.newContext({ viewport, colorScheme, reducedMotion, permissions: ["clipboard-read", "clipboard-write"] });
    context.setDefaultTimeout(30_000);
    const wrong = [];
    context.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      if (failing && ANSWERS.test(message.text())) return;
      // Opened ports are other origins, whose pages are the sandbox's own.
      if (message.page() !== null && !message.page().url().startsWith(this.server.address)) return;
      wrong.push(`${message.type()}: ${message.text()}`);
    });
    context.on("weberror", (error) => wrong.push(`error: ${error.error().stack}`));
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    const page = await context.newPage();
    t.after(async () => {
      if (process.env.PICTURES_OF_FAILURES && !t.passed) await page.screenshot({ path: `${process.env.PICTURES_OF_FAILURES}/${t.name.replace(/\W+/g, "-")}.png`, fullPage: true }).catch(() => undefined);
      await context.close();
      assert.deepEqual(wrong, []);
    });
    await page.goto(this.server.address);
    if (signedIn) await signIn(page, key);
    return page;
  }
}

export async function signIn(page, key) {
  await page.getByLabel("API key or sign-in link").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("link", { name: "New sandbox" }).waitFor();
}

/** Waits until it is so. */
export async function until(what, check, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    if (await check()) return;
    if (Date.now() > end) throw new Error(`not so within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** The row of a list or table with this text in it. */
export function row(page, name) {
  return page.locator("[role=listitem], tr").filter({ hasText: name }).first();
}
