/** Pages that fail a test by whatever goes wrong in them: errors on the console, violations of the policy, unhandled rejections. */
import assert from "node:assert/strict";

import { chromium } from "playwright-core";

import { Controls } from "./controls.mjs";
import { close } from "./test.mjs";

export const WIDE = { width: 1280, height: 800 };
export const PHONE = { width: 375, height: 720 };

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium" });
}

/** A sandbox may end between what the page knows of it and what it asks next. */
const ENDED = /status of 409 .*\/api\/v0beta1\/sandboxes\/[^/]+\/(stats|ports)\)$/;
/** Each container that starts changes the host's network, and a browser drops what it loads; the page asks again. */
const NETWORK = /net::ERR_NETWORK_CHANGED/;
/** What a browser itself says of an answer that a test is about. */
const ANSWERS = /Failed to load resource: (the server responded with a status of (4\d\d|50[0-9])|net::ERR)|WebSocket connection to .* failed/;

export class Browser {
  constructor(browser, server) {
    this.browser = browser;
    this.server = server;
    this.controls = new Controls();
  }

  /** A page with a browser's profile of its own. `failing`: a test that has the server refuse or be gone. */
  async page(t, { viewport = WIDE, colorScheme = "light", failing = false, signedIn = true, key = this.server.key, reducedMotion = "no-preference" } = {}) {
    const context = await this.browser.newContext({ viewport, colorScheme, reducedMotion, permissions: ["clipboard-read", "clipboard-write"] });
    context.setDefaultTimeout(30_000);
    const wrong = [];
    context.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      const said = `${message.text()} (${message.location().url})`;
      if (ENDED.test(said) || NETWORK.test(said) || (failing && ANSWERS.test(said))) return;
      // Opened ports are other origins, whose pages are the sandbox's own.
      if (message.page() !== null && !message.page().url().startsWith(this.server.address)) return;
      wrong.push(`${message.type()}: ${said}`);
    });
    context.on("weberror", (error) => wrong.push(`error: ${error.error().stack}`));
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await this.controls.watch(context, this.server.address);
    const page = await context.newPage();
    t.after(async () => {
      if (process.env.PICTURES_OF_FAILURES && !t.passed) await page.screenshot({ path: `${process.env.PICTURES_OF_FAILURES}/${t.name.replace(/\W+/g, "-")}.png`, fullPage: true }).catch(() => undefined);
      await close(context);
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
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Watches what a page asks for; the function that it gives waits until all is answered and drawn. */
export function watched(page) {
  const asked = new Set();
  page.on("request", (request) => asked.add(request));
  page.on("response", (response) => asked.delete(response.request()));
  page.on("requestfailed", (request) => asked.delete(request));
  const drawn = () => page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(document.querySelector(".mantine-Loader-root:not(button *)") === null)))));
  return () => until("the page is at rest", async () => (await drawn()) && asked.size === 0);
}

/** The row of a list or table with this text in it. */
export function row(page, name) {
  return page.locator("[role=listitem], tr").filter({ hasText: name }).first();
}
