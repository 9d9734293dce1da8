// Signs a real Chromium in to OpenCode with the address of `amika sandbox open`, and looks at what a
// browser that did not use it, and a page from elsewhere, get.
//
// Usage: node open.mjs ADDRESS PASSWORD       Chromium is $CHROMIUM, else /usr/bin/chromium
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const [address, password] = process.argv.slice(2);
const origin = new URL(address).origin;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await (await browser.newContext()).newPage();
  const broken = [];
  const asked = [];
  page.on('response', (response) => {
    asked.push(response.request().url());
    if (response.url().startsWith(origin) && response.status() >= 400) {
      broken.push(`${response.status()} ${response.url()}`);
    }
  });
  await page.goto(address, { waitUntil: 'domcontentloaded' });
  assert.equal(new URL(page.url()).pathname.startsWith('/amika'), false, page.url());
  // OpenCode's page is made by its own program: there is something to see only when that runs.
  await page.waitForFunction(() => document.body.innerText.trim().length > 20, null, { timeout: 60_000 });
  const health = await page.evaluate(async () => (await fetch('/global/health')).json());
  assert.equal(health.healthy, true);

  // A stream of events passes piece by piece.
  const event = await page.evaluate(() => new Promise((resolve, reject) => {
    const events = new EventSource('/event');
    events.onmessage = (message) => { events.close(); resolve(message.data); };
    setTimeout(() => reject(new Error('no event')), 20_000);
  }));
  assert.match(event, /server\.connected/);

  // A terminal of OpenCode's is a web socket.
  const echoed = await page.evaluate(async () => {
    const made = await fetch('/pty', {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ command: '/bin/sh', args: [] }),
    });
    const { id } = await made.json();
    const ticket = await fetch(`/pty/${id}/connect-token`, {
      method: 'POST', headers: { 'x-opencode-ticket': '1' },
    }).then(async (answer) => (answer.ok ? (await answer.json()).ticket : null)).catch(() => null);
    const query = ticket ? `?ticket=${encodeURIComponent(ticket)}` : '';
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/pty/${id}/connect${query}`);
    socket.binaryType = 'arraybuffer';
    return new Promise((resolve, reject) => {
      let text = '';
      socket.onopen = () => socket.send('echo $((40+2))is\r');
      socket.onmessage = ({ data }) => {
        text += typeof data === 'string' ? data : new TextDecoder().decode(data);
        if (text.includes('42is')) { socket.close(); resolve(text); }
      };
      socket.onerror = () => reject(new Error('the web socket broke'));
      setTimeout(() => reject(new Error(`the terminal said only ${text}`)), 20_000);
    });
  });
  assert.match(echoed, /42is/);

  assert.deepEqual(broken, []);
  const cookies = await page.context().cookies(origin);
  const ours = cookies.find((cookie) => cookie.name.startsWith('amika-'));
  assert.ok(ours.httpOnly && ours.sameSite === 'Strict', JSON.stringify(ours));
  const seen = asked.join('\n') + await page.content() + await page.evaluate(() => document.cookie);
  assert.equal(seen.includes(password), false, 'the password is seen');
  assert.equal(seen.includes(ours.value), false, 'the cookie is seen');
  await page.screenshot({ path: process.env.SCREENSHOT ?? '/dev/null', type: 'png' });

  // Another browser gets nothing, with the used address neither.
  const other = await (await browser.newContext()).newPage();
  assert.equal((await other.goto(origin)).status(), 401);
  assert.equal((await other.goto(address)).status(), 403);

  // A page from elsewhere in the signed-in browser: neither reads nor changes anything.
  const elsewhere = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('hi'));
  await new Promise((listening) => elsewhere.listen(0, '127.0.0.1', listening));
  const foreign = await page.context().newPage();
  const statuses = [];
  foreign.on('response', (response) => {
    if (response.url().startsWith(origin)) statuses.push(response.status());
  });
  await foreign.goto(`http://127.0.0.1:${elsewhere.address().port}/`);
  const read = await foreign.evaluate(async (origin) => {
    const tries = ['/global/health', '/session'].flatMap((path) => ['GET', 'POST'].map((method) =>
      fetch(origin + path, { method, mode: 'no-cors', credentials: 'include' })
        .then(async (answer) => answer.text()).catch(() => '')));
    return (await Promise.all(tries)).join('');
  }, origin);
  assert.equal(read, '');
  assert.deepEqual([...new Set(statuses)], [403]);
  elsewhere.close();
  console.log('signed in, streamed, and kept to one browser');
} finally {
  await browser.close();
}
