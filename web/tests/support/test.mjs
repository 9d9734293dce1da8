/** A test that ends: what waits for a browser or a server for ever fails by its name, and those after it run. */
import { test as each } from "node:test";

/** Milliseconds; the longest test takes a fifth of it on two cores at rest. */
const LIMIT = 180_000;
/** Milliseconds in which a page or a browser closes; one that is busy with another origin sometimes never does. */
const CLOSES = 15_000;

export function test(name, run) {
  return each(name, { timeout: LIMIT }, run);
}

/** Closes a page, a context or a browser, and does not wait for one that hangs. */
export async function close(it) {
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, CLOSES); });
  await Promise.race([it.close(), late]);
  clearTimeout(timer);
}
