import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { Plugin } from "vite";

/** Puts a script into the document itself, byte for byte: the server's policy allows it by its digest. */
export function inline(file: string): Plugin {
  const path = join(import.meta.dirname, file);
  // Before all that may fail to load, and behind what a parser must meet early.
  const place = '<meta charset="utf-8" />';
  return {
    name: "inline",
    transformIndexHtml: {
      order: "post",
      handler: (html) => html.replace(place, () => `${place}\n    <script>${readFileSync(path, "utf8")}</script>`),
    },
  };
}
