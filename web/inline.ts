import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { Plugin } from "vite";

/** Puts a script into the document itself, byte for byte: the server's policy allows it by its digest. */
export function inline(file: string): Plugin {
  const path = join(import.meta.dirname, file);
  return {
    name: "inline",
    transformIndexHtml: {
      order: "post",
      handler: () => [{ tag: "script", children: readFileSync(path, "utf8"), injectTo: "head-prepend" }],
    },
  };
}
