import { expect, test } from "vitest";

import { literal, parse, sides, visible } from "../diff";

const PRINTED = `diff --git a/index.html b/index.html
index 1111111..2222222 100644
--- a/index.html
+++ b/index.html
@@ -1,4 +1,4 @@ <html>
 <h1>
-Shop
-old
+Store
 </h1>
-- not a head
+++ not one either
@@ -20 +20 @@
-last
\\ No newline at end of file
+end
`;

test("lines have their numbers, and what looks like a head is a line", () => {
  const { notes, hunks, cut } = parse(PRINTED);
  expect([notes, cut]).toEqual([[], false]);
  expect(hunks.map((hunk) => hunk.header)).toEqual(["@@ -1,4 +1,4 @@ <html>", "@@ -20 +20 @@"]);
  expect(hunks[0]?.rows.map((row) => [row.kind, row.old, row.now, row.text])).toEqual([
    ["same", 1, 1, "<h1>"],
    ["deleted", 2, null, "Shop"],
    ["deleted", 3, null, "old"],
    ["added", null, 2, "Store"],
    ["same", 4, 3, "</h1>"],
    ["deleted", 5, null, "- not a head"],
    ["added", null, 4, "++ not one either"],
  ]);
  expect(hunks[1]?.rows.map((row) => row.kind)).toEqual(["deleted", "note", "added"]);
});

test("what is gone stands beside what came in its place", () => {
  const { hunks } = parse(PRINTED);
  const texts = (at: number) => sides(hunks[at]?.rows ?? []).map((pair) => pair.map((row) => row?.text ?? null));
  expect(texts(0)).toEqual([
    ["<h1>", "<h1>"],
    ["Shop", "Store"],
    ["old", null],
    ["</h1>", "</h1>"],
    ["- not a head", "++ not one either"],
  ]);
  expect(texts(1)).toEqual([
    ["last", "end"],
    ["No newline at end of file", null],
  ]);
});

test("what git says of a file without lines is kept", () => {
  const printed = "diff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to b\n";
  expect(parse(printed)).toEqual({ notes: ["similarity index 100%", "rename from a", "rename to b"], hunks: [], cut: false });
  expect(parse("diff --git a/x b/x\nindex 1..2 100644\nBinary files a/x and b/x differ\n").notes).toEqual(["Binary files a/x and b/x differ"]);
  expect(parse("")).toEqual({ notes: [], hunks: [], cut: false });
});

test("more than can be read is cut, and said to be", () => {
  const printed = `@@ -0,0 +1,5000 @@\n${"+x\n".repeat(5000)}`;
  const { hunks, cut } = parse(printed);
  expect([hunks[0]?.rows.length, cut]).toEqual([3000, true]);
  expect(parse("@@ -1 +1 @@\n-a\n+half", true).hunks[0]?.rows.map((row) => row.text)).toEqual(["a"]);
});

test("what hides or turns text round is seen", () => {
  expect(visible("if (x\u202e) \u2066{\u200b\tok\u001b[2J")).toBe("if (x\\u202e) \\u2066{\\u200b\tok\\u001b[2J");
  expect(visible("a\u061c\u00adb\u3164c\u{e0041}é中🙂")).toBe("a\\u061c\\u00adb\\u3164c\\ue0041é中🙂");
});

test("a path is itself, however it is spelled", () => {
  expect(literal(["a*b", null, ":!c"])).toBe(":(top,literal)a*b\n:(top,literal):!c");
});
