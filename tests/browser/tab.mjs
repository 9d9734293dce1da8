// Leaves a tab of a real Chromium open on OpenCode, on a session, until it is told to end; says `open` once it is.
//
// Usage: node tab.mjs ADDRESS       as `amika sandbox open --print-url` gives it; Chromium is $CHROMIUM
import { chromium } from 'playwright-core';

const [address] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
process.on('SIGTERM', async () => {
  await browser.close();
  process.exit(0);
});
const page = await (await browser.newContext()).newPage();
await page.goto(address, { waitUntil: 'domcontentloaded' });
await page.waitForFunction(() => document.body.innerText.trim().length > 20, null, { timeout: 60_000 });
// A session in the directory that the server is in, with its page before one's eyes.
const path = await page.evaluate(async () => {
  const { directory } = await (await fetch('/path')).json();
  const made = await fetch('/session', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}',
  });
  const { id } = await made.json();
  const name = btoa(directory).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return `/${name}/session/${id}`;
});
await page.goto(new URL(path, page.url()).href, { waitUntil: 'domcontentloaded' });
await page.waitForFunction(() => document.body.innerText.trim().length > 20, null, { timeout: 60_000 });
console.log('open');
setInterval(() => {}, 60_000);
