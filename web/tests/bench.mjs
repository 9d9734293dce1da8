/** What the page is held to: its first load, a list of many sandboxes, the echo of a terminal, and memory under a log that does not end. */
import { spawn } from "node:child_process";

import { launch, signIn, until, WIDE } from "./support/browser.mjs";
import { startServer } from "./support/server.mjs";

const IMAGE = "amika-test/debian";
const OFF = { AMIKA_OPENCODE_WEB: "0" };
/** How many sandboxes are listed. */
const COUNT = Number(process.env.COUNT ?? 200);
/** How many are made at a time. */
const AT_ONCE = 4;
/** Characters that are typed. */
const TYPED = 60;
/** For how long the log is watched, in seconds. */
const WATCHED = 60;

const server = await startServer();
const browser = await launch();

function line(what, is, reach) {
  console.log(`${what.padEnd(64)} ${is.padEnd(34)} ${reach}`);
}

const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A page of a browser's profile of its own that is signed in: its files were never loaded. */
async function fresh(state) {
  const context = await browser.newContext({ viewport: WIDE, storageState: state });
  const page = await context.newPage();
  return { context, page, cdp: await context.newCDPSession(page) };
}

async function firstLoad(state) {
  const times = [];
  let bytes = 0;
  for (let round = 0; round < 5; round += 1) {
    const { context, page, cdp } = await fresh(state);
    await cdp.send("Network.enable");
    let loaded = 0;
    cdp.on("Network.loadingFinished", ({ encodedDataLength }) => { loaded += encodedDataLength; });
    const begun = performance.now();
    await page.goto(server.address, { waitUntil: "commit" });
    await page.getByRole("link", { name: "New sandbox" }).waitFor();
    times.push(performance.now() - begun);
    await page.waitForTimeout(500);
    bytes = Math.max(bytes, loaded);
    await context.close();
  }
  line("first load over the wire, without the terminal", `${(bytes / 1024).toFixed(0)} KiB`, "250 KiB");
  line("usable from a cold cache", `${median(times).toFixed(0)} ms`, "1000 ms");
}

async function make() {
  const names = Array.from({ length: COUNT }, (_, number) => `bench-page-${number}`);
  const one = async () => {
    for (let name = names.pop(); name !== undefined; name = names.pop()) await server.ask("POST", "/sandboxes?wait=120", { name, image: IMAGE, env_vars: OFF });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

async function scroll(state) {
  const { context, page } = await fresh(state);
  await page.goto(server.address);
  await page.getByText("bench-page-0", { exact: true }).waitFor();
  await page.waitForTimeout(2000);
  const frames = await page.evaluate(async () => {
    const all = [];
    const bottom = document.scrollingElement.scrollHeight - innerHeight;
    let last = performance.now();
    for (const way of [1, -1]) {
      for (let step = 0; step <= 90; step += 1) {
        const at = (bottom * step) / 90;
        scrollTo(0, way === 1 ? at : bottom - at);
        await new Promise((resolve) => requestAnimationFrame(resolve));
        const now = performance.now();
        all.push(now - last);
        last = now;
      }
    }
    return all;
  });
  line(`${COUNT} sandboxes scroll: longest frame, of ${frames.length}`, `${Math.max(...frames).toFixed(0)} ms (median ${median(frames).toFixed(0)})`, "50 ms");
  await context.close();
}

/** From the key to the frame in which its echo is drawn, in milliseconds each. */
async function inPage(state, id) {
  const { context, page } = await fresh(state);
  await page.addInitScript(() => {
    const Own = window.WebSocket;
    window.echoes = [];
    window.WebSocket = class extends Own {
      constructor(...given) {
        super(...given);
        this.addEventListener("message", () => {
          const pressed = window.pressed;
          if (pressed === undefined) return;
          window.pressed = undefined;
          requestAnimationFrame(() => window.echoes.push(performance.now() - pressed));
        });
      }
    };
    addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
  });
  await page.goto(`${server.address}/sandboxes/${id}/terminal`);
  const screen = page.locator(".xterm-accessibility");
  await until("there is a prompt", async () => /[#$%] ?$/m.test((await screen.innerText()).trimEnd()));
  await page.keyboard.type("cat >/dev/null\n");
  await page.waitForTimeout(500);
  await page.evaluate(() => { window.echoes.length = 0; });
  for (let typed = 0; typed < TYPED; typed += 1) {
    await page.keyboard.press("a");
    await page.waitForTimeout(60);
  }
  const echoes = await page.evaluate(() => window.echoes);
  await context.close();
  return echoes;
}

/** The same of `docker exec -it`, on a terminal of its own. */
async function inDocker(name) {
  const child = spawn("script", ["-qfc", `docker exec -it ${name} cat`, "/dev/null"], { stdio: ["pipe", "pipe", "ignore"] });
  let heard;
  child.stdout.on("data", () => heard?.());
  await pause(2000);
  const echoes = [];
  for (let typed = 0; typed < TYPED; typed += 1) {
    const begun = performance.now();
    const echo = new Promise((resolve) => { heard = resolve; });
    child.stdin.write("a");
    await echo;
    echoes.push(performance.now() - begun);
    await pause(60);
  }
  child.stdin.write("\u0003");
  child.stdin.end();
  await new Promise((resolve) => child.on("exit", resolve));
  return echoes;
}

async function echo(state) {
  const name = "bench-page-echo";
  const { id } = await server.ask("POST", "/sandboxes?wait=120", { name, image: IMAGE, env_vars: OFF });
  const page = median(await inPage(state, id));
  const docker = median(await inDocker(name));
  line("a terminal's echo beside that of `docker exec -it`, medians", `${(page - docker).toFixed(1)} ms more (${page.toFixed(1)}, ${docker.toFixed(1)})`, "10 ms more");
}

async function memory(state) {
  const setup = "#!/bin/bash\nwhile :; do seq 1 200; sleep 0.02; done\n";
  await server.ask("POST", "/sandboxes", { name: "bench-page-log", image: IMAGE, env_vars: OFF, setup_script_text: setup });
  await until("it sets up", async () => (await server.ask("GET", "/sandboxes/bench-page-log")).state === "initializing");
  const { id } = await server.ask("GET", "/sandboxes/bench-page-log");
  const { context, page, cdp } = await fresh(state);
  await page.goto(`${server.address}/sandboxes/${id}/logs`);
  await page.getByText("Setup", { exact: true }).click();
  await page.getByRole("log", { name: "Log" }).locator(".line").first().waitFor();
  const heap = async () => {
    await cdp.send("HeapProfiler.collectGarbage");
    return (await cdp.send("Runtime.getHeapUsage")).usedSize / 1024 / 1024;
  };
  // Until it keeps as many lines as it ever does.
  await page.waitForTimeout(WATCHED * 500);
  const before = await heap();
  await page.waitForTimeout(WATCHED * 1000);
  const after = await heap();
  line(`memory of a page with a log at full speed, over ${WATCHED} s`, `${before.toFixed(1)} to ${after.toFixed(1)} MiB`, "flat");
  await context.close();
}

try {
  const context = await browser.newContext({ viewport: WIDE });
  const page = await context.newPage();
  await page.goto(server.address);
  await signIn(page, server.key);
  const state = await context.storageState();
  await context.close();
  line("FIGURE", "IS", "REACH");
  await firstLoad(state);
  await echo(state);
  await memory(state);
  await make();
  await scroll(state);
} finally {
  await browser.close();
  await server.end();
}
