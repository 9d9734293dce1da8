import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

import { compress } from "./compress.ts";
import { inline } from "./inline.ts";

const server = process.env.AMIKA_SERVER ?? "http://localhost:8080";

export default defineConfig({
  plugins: [react(), inline("loading.js"), compress()],
  build: {
    target: "es2023",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // One file for what the first page needs of libraries; terminal and charts bring their own when they are opened.
          groups: [{ name: "vendor", test: /node_modules\/(?!@xterm|uplot)/ }],
        },
      },
    },
  },
  server: {
    proxy: {
      // The server answers pages of its own origin alone.
      "/api": { target: server, changeOrigin: true, ws: true, headers: { origin: server } },
      "/readyz": { target: server, changeOrigin: true },
    },
  },
});
