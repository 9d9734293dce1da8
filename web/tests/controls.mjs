import assert from "node:assert/strict";
import { test } from "./support/test.mjs";

import { it } from "./support/it.mjs";

// Of a part of the tests nothing could be said.
if (process.env.ONLY === undefined) {
  test("each control of each page was used by a test", () => {
    assert.ok(it.browser.controls.seen.size > 150, `${it.browser.controls.seen.size} controls were seen`);
    const unused = it.browser.controls.unused();
    assert.ok(unused.length === 0, `no test uses:\n${unused.join("\n")}`);
  });
}
